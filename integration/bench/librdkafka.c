// What librdkafka takes to write and to read records, as `dohle bench producer` and `consumer` measure it of Dohle's own client: every
// record is handed over by itself, and every report is looked at. integration/bench/clients compiles it.
//
//   librdkafka produce|latency|consume TOPIC RECORDS RECORD_BYTES RATE KEY=VALUE...
//
// Prints one line of JSON. RATE is for latency: records a second at most, one at a time.
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUES = 1000, AT_ONCE = 1000, ERROR_BYTES = 512 };

static uint64_t reported, failed;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "librdkafka: %s\n", what);
    exit(1);
}

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    reported++;
    failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

// As many different values as the others write, in turn.
static char *make_values(size_t bytes) {
    char *values = malloc(VALUES * bytes);
    uint32_t state = 2463534242u;
    for (size_t at = 0; at < VALUES * bytes; at++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        values[at] = (char)('A' + (state >> 24) % 26);
    }
    return values;
}

static void send_one(rd_kafka_t *client, rd_kafka_topic_t *topic, char *value, size_t bytes) {
    // 0: librdkafka copies the value, as the other clients do.
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, bytes, NULL, 0, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) fail(rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(client, 10);
    }
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int count, char **given) {
    if (count < 6) fail("produce|latency|consume TOPIC RECORDS RECORD_BYTES RATE KEY=VALUE...");
    const char *what = given[1], *name = given[2];
    uint64_t records = strtoull(given[3], NULL, 10), done = 0, value_bytes = 0;
    size_t bytes = strtoul(given[4], NULL, 10);
    double rate = strtod(given[5], NULL);
    int consumes = strcmp(what, "consume") == 0, paced = strcmp(what, "latency") == 0;
    char error[ERROR_BYTES];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (int at = 6; at < count; at++) {
        char *value = strchr(given[at], '=');
        if (!value) fail(given[at]);
        *value++ = 0;
        if (rd_kafka_conf_set(conf, given[at], value, error, sizeof error) != RD_KAFKA_CONF_OK) fail(error);
    }
    if (!consumes) rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_t *client = rd_kafka_new(consumes ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (!client) fail(error);
    double began = 0, cpu = 0, *took = NULL;
    if (consumes) {
        rd_kafka_poll_set_consumer(client);
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
        if (rd_kafka_subscribe(client, topics)) fail("cannot subscribe");
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
        rd_kafka_message_t *batch[AT_ONCE];
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        double heard = seconds(CLOCK_MONOTONIC);
        while (done < records) {
            ssize_t got = rd_kafka_consume_batch_queue(queue, 100, batch, AT_ONCE);
            for (ssize_t at = 0; at < got; at++) {
                if (batch[at]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                    if (done++ == 0) began = seconds(CLOCK_MONOTONIC);
                    value_bytes += batch[at]->len + batch[at]->key_len;
                }
                rd_kafka_message_destroy(batch[at]);
            }
            if (got > 0) heard = seconds(CLOCK_MONOTONIC);
            if (heard + 30 < seconds(CLOCK_MONOTONIC)) fail("there are fewer records");
        }
    } else {
        rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(client, 0, topic, &metadata, 10000)) fail("no metadata");
        rd_kafka_metadata_destroy(metadata);
        char *values = make_values(bytes);
        if (paced) took = malloc(records * sizeof *took);
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), began = seconds(CLOCK_MONOTONIC);
        double due = began;
        for (; done < records; done++) {
            char *value = values + done % VALUES * bytes;
            if (!paced) {
                send_one(client, topic, value, bytes);
                if (done % 256 == 0) rd_kafka_poll(client, 0);
                continue;
            }
            double now = seconds(CLOCK_MONOTONIC);
            if (now < due) {
                struct timespec until = {.tv_sec = (time_t)due, .tv_nsec = (long)((due - (double)(time_t)due) * 1e9)};
                while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) continue;
            }
            double sent = seconds(CLOCK_MONOTONIC);
            send_one(client, topic, value, bytes);
            while (reported <= done) rd_kafka_poll(client, 1000);
            now = seconds(CLOCK_MONOTONIC);
            took[done] = now - sent;
            due += 1 / rate;
            if (due < now) due = now;
        }
        while (reported < records) rd_kafka_poll(client, 100);
        if (failed) fail("records were not written");
        value_bytes = records * bytes;
    }
    double elapsed = seconds(CLOCK_MONOTONIC) - began, spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"library\": \"librdkafka %s\", \"records\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"client_cpu_seconds\": %.6f",
           rd_kafka_version_str(), (unsigned long long)done, (unsigned long long)value_bytes, elapsed, spent);
    if (took) {
        qsort(took, records, sizeof *took, compare);
        printf(", \"latency_micros\": {\"p50\": %.1f, \"p99\": %.1f, \"p99_9\": %.1f}", took[records / 2] * 1e6, took[records * 99 / 100] * 1e6,
               took[records * 999 / 1000] * 1e6);
    }
    printf("}\n");
    fflush(stdout);
    if (consumes) rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return 0;
}
