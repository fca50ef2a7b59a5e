module example.invalid/tidings-load

go 1.21
