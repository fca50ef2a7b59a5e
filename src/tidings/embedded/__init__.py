"""A face for programs that want a log inside themselves: no network, no second process."""

from tidings.embedded.log import EmbeddedLog
from tidings.embedded.opening import open_log
from tidings.embedded.reading import Reading
from tidings.embedded.records import NewRecord, Record, TopicInfo

__all__ = ["EmbeddedLog", "NewRecord", "Reading", "Record", "TopicInfo", "open_log"]
