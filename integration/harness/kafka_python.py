"""kafka-python 3.0.12 with one bug mended.

The answer to a metadata request takes back the wish for another one (`ClusterMetadata.update_metadata`), also when that wish came while the
request was on its way and named other topics; `set_topics` has a TODO about it. A consumer that subscribes before its first metadata is
there, which is a matter of microseconds with a broker that answers at once, then waits for its topic until `metadata_max_age_ms`.
"""

from kafka.cluster import ClusterMetadata

_request, _update = ClusterMetadata.metadata_request, ClusterMetadata.update_metadata


def _metadata_request(self):
    self._asked_for_all, self._asked_for = self.need_all_topic_metadata, set(self._topics)
    return _request(self)


def _update_metadata(self, answer):
    _update(self, answer)
    if not self._asked_for_all and (self.need_all_topic_metadata or self._topics - self._asked_for):
        self.request_update()


ClusterMetadata.metadata_request, ClusterMetadata.update_metadata = _metadata_request, _update_metadata
