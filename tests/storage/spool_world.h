/*
 * What the tests of the spool share: a directory of its own, articles whose
 * octets follow from their sequence number, and a collector for walks.
 */
#ifndef TESTS_STORAGE_SPOOL_WORLD_H
#define TESTS_STORAGE_SPOOL_WORLD_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/memory.h"
#include "storage/spool.h"

/* --- a directory --- */

/* In memory where that is possible: these tests sync thousands of times, and
   it is not the disk that they test. */
static inline char *
directory_new(void)
{
    char *path =
        xstrdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/renews-test-XXXXXX"
                                              : "/tmp/renews-test-XXXXXX");

    if (mkdtemp(path) == NULL)
        fail_msg("no directory for the test");
    return path;
}

static inline void
directory_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0
            && strcmp(entry->d_name, "..") != 0) {
            char *name = xasprintf("%s/%s", path, entry->d_name);

            if (unlink(name) < 0) {
                directory_empty(name);
                (void)rmdir(name);
            }
            free(name);
        }
    closedir(dir);
}

static inline void
directory_free(char **path)
{
    directory_empty(*path);
    (void)rmdir(*path);
    free(*path);
    *path = NULL;
}

static inline bool
directory_has(const char *path, const char *name)
{
    char *whole = xasprintf("%s/%s", path, name);
    bool has = access(whole, F_OK) == 0;

    free(whole);
    return has;
}

/* How many files have names that end so. */
static inline unsigned
directory_count(const char *path, const char *suffix)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    unsigned count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        if (length > strlen(suffix)
            && strcmp(entry->d_name + length - strlen(suffix), suffix) == 0)
            count++;
    }
    closedir(dir);
    return count;
}

/* --- articles that can be told by their sequence --- */

/* Later than the clock, which the first record of a log takes. */
static const int64_t ARRIVAL = 4102444800;

/* Octets of the payload of the article with this sequence. */
static inline size_t
payload_octets(uint64_t sequence)
{
    return 20 + (size_t)(sequence * 37 % 301);
}

static inline void
payload_fill(char *octets, uint64_t sequence, size_t length)
{
    for (size_t i = 0; i < length; i++)
        octets[i] = (char)('!' + (sequence * 131 + i * 7) % 90);
}

/* Append the article of this sequence, octets long; returns its token without
   the segment, offset in the batch. */
static inline struct token
article_append_sized(struct batch *batch, uint64_t sequence, size_t octets)
{
    char *text = xmalloc(octets);
    size_t half = octets / 2;
    struct iovec pieces[2] = {{text, half}, {text + half, octets - half}};
    struct record_group groups[3] = {
        {1, 0, sequence}, {2, 0, sequence * 2}, {3, 0, sequence * 3}};
    struct record_head head = {
        .type = RECORD_ARTICLE,
        .sequence = sequence,
        .arrival = ARRIVAL + (int64_t)sequence,
        .head_octets = 5,
        .body_offset = 7,
        .lines = (uint32_t)sequence,
    };
    struct token token = {0};

    memset(head.hash.octets, (int)(sequence & 0xff), 16);
    payload_fill(text, sequence, octets);
    token.offset = batch_append(batch, &head, groups,
                                (sequence % 4) * sizeof(groups[0]), pieces, 2);
    token.octets = head.octets;
    free(text);
    return token;
}

static inline struct token
article_append(struct batch *batch, uint64_t sequence)
{
    return article_append_sized(batch, sequence, payload_octets(sequence));
}

/* Is a record what article_append_sized() made? */
static inline void
article_check(const struct record *record)
{
    uint64_t sequence = record->head.sequence;
    char *text = xmalloc(record->head.payload_octets);

    assert_int_equal(record->head.type, RECORD_ARTICLE);
    assert_int_equal(record->head.arrival, ARRIVAL + (int64_t)sequence);
    assert_int_equal(record->head.lines, sequence);
    assert_int_equal(record->head.hash.octets[15], sequence & 0xff);
    payload_fill(text, sequence, record->head.payload_octets);
    assert_memory_equal(record->payload, text, record->head.payload_octets);
    assert_int_equal(record_group_count(record), sequence % 4);
    for (size_t i = 0; i < record_group_count(record); i++) {
        assert_int_equal(record_group(record, i).group, i + 1);
        assert_int_equal(record_group(record, i).number, sequence * (i + 1));
    }
    free(text);
}

/* --- what a walk gave --- */

struct collected {
    uint64_t *sequences; /* of the articles */
    struct token *tokens;
    size_t count;
    unsigned truncs, snapshots;
    struct trunc trunc;     /* the last */
    struct buffer snapshot; /* the last */
    int64_t arrival;
    uint64_t sequence;
};

static inline void
collected_free(struct collected *collected)
{
    free(collected->sequences);
    free(collected->tokens);
    buffer_free(&collected->snapshot);
    memset(collected, 0, sizeof(*collected));
}

static inline int
collect(void *context, const struct record *record, struct buffer *why)
{
    struct collected *collected = context;

    (void)why;
    /* What every walk promises. */
    assert_true(record->head.sequence >= collected->sequence);
    assert_true(record->head.arrival >= collected->arrival);
    collected->sequence = record->head.sequence;
    collected->arrival = record->head.arrival;
    switch (record->head.type) {
    case RECORD_TRUNC:
        collected->truncs++;
        memcpy(&collected->trunc, record->payload, sizeof(struct trunc));
        return 0;
    case RECORD_SNAPSHOT:
        collected->snapshots++;
        buffer_clear(&collected->snapshot);
        buffer_append(&collected->snapshot, record->payload,
                      record->head.payload_octets);
        return 0;
    default:
        break;
    }
    article_check(record);
    collected->sequences =
        xreallocarray(collected->sequences, collected->count + 1,
                      sizeof(*collected->sequences));
    collected->tokens = xreallocarray(collected->tokens, collected->count + 1,
                                      sizeof(*collected->tokens));
    collected->tokens[collected->count] = record->token;
    collected->sequences[collected->count++] = record->head.sequence;
    return 0;
}

#endif
