"""Several brokers on shared stores. Imported only by a broker that is one of several."""
