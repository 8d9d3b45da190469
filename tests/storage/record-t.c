/* Taking a record apart: what is whole, and each way in which it is not. */
#include "tests/storage/spool_world.h"

static const char article[] = "Subject: s\r\n\r\nbody\r\n.\r\n";
enum { HEAD_OCTETS = 12, BODY_OFFSET = 14 };

/* A batch with one record of this type, filed in two groups; returns where in
   batch->octets it begins. */
static char *
record_build(struct batch *batch, enum record_type type)
{
    const struct record_group groups[2] = {{.group = 3, .number = 7},
                                           {.group = 5, .number = 9}};
    struct record_head head = {.type = type,
                               .sequence = 11,
                               .arrival = 12,
                               .head_octets = HEAD_OCTETS,
                               .body_offset = BODY_OFFSET};
    const struct iovec payload = {(void *)(uintptr_t)article,
                                  sizeof(article) - 1};
    uint32_t offset =
        batch_append(batch, &head, groups, sizeof(groups), &payload, 1);

    return batch->octets->data + offset;
}

static void
test_a_whole_record_is_taken_apart(void **state)
{
    static const struct {
        enum record_type type;
        size_t groups;
    } rows[] = {
        {RECORD_ARTICLE, 2},
        {RECORD_SUBMISSION, 2},
        {RECORD_CANCEL, 0}, /* its meta is the removed article's */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct batch *batch = batch_new();
        const char *at = record_build(batch, rows[i].type);
        size_t length =
            batch->octets->used - (size_t)(at - batch->octets->data);
        struct buffer why = BUFFER_EMPTY;
        struct record record;

        assert_int_equal(record_parse(&record, at, length, true, &why),
                         length);
        assert_int_equal(record.head.type, rows[i].type);
        assert_int_equal(record.head.sequence, 11);
        assert_int_equal(record.token.octets, length);
        assert_int_equal(record.head.payload_octets, sizeof(article) - 1);
        assert_memory_equal(record.payload, article, sizeof(article) - 1);
        assert_int_equal(record_group_count(&record), rows[i].groups);
        assert_int_equal(record_group(&record, 1).group, 5);
        assert_int_equal(record_group(&record, 1).number, 9);
        buffer_free(&why);
        batch_free(&batch);
    }
}

#define AT(member) offsetof(struct record_head, member)
enum { META = sizeof(struct record_head), PAYLOAD = META + 32 };

static void
test_a_record_that_is_not_whole_is_told_from_one_that_is(void **state)
{
    static const struct {
        size_t shorter; /* so many octets of the record are missing */
        size_t offset;  /* this octet is another one */
        int change;
        const char *why; /* with the payload's sum looked at */
        bool light;      /* without that it passes */
    } rows[] = {
        {.offset = AT(magic), .change = 1, .why = "no record begins here"},
        {.shorter = 1, .why = "lengths do not fit"},
        {.shorter = 8, .why = "lengths do not fit"},
        {.offset = AT(octets), .change = 4, .why = "lengths do not fit"},
        {.offset = AT(octets), .change = 8, .why = "lengths do not fit"},
        {.offset = AT(octets) + 3, .change = 1, .why = "lengths do not fit"},
        {.offset = AT(meta_octets) + 3,
         .change = 1,
         .why = "lengths do not fit"},
        {.offset = AT(payload_octets) + 3,
         .change = 1,
         .why = "lengths do not fit"},
        {.offset = AT(sequence), .change = 1, .why = "head has the wrong"},
        {.offset = AT(type) + 1, .change = 1, .why = "head has the wrong"},
        {.offset = AT(crc), .change = 1, .why = "head has the wrong"},
        {.offset = META + 8, .change = 1, .why = "head has the wrong"},
        {.offset = PAYLOAD,
         .change = 1,
         .why = "(sequence 11)",
         .light = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct batch *batch = batch_new();
        char *at = record_build(batch, RECORD_ARTICLE);
        size_t length =
            batch->octets->used - (size_t)(at - batch->octets->data);
        struct buffer why = BUFFER_EMPTY;
        struct record record;

        at[rows[i].offset] =
            (char)((unsigned char)at[rows[i].offset] ^ rows[i].change);
        length -= rows[i].shorter;
        if (record_parse(&record, at, length, true, &why) != -1
            || strstr(buffer_text(&why), rows[i].why) == NULL)
            fail_msg("row %zu: %s, not: %s", i, buffer_text(&why),
                     rows[i].why);
        assert_int_equal(record_parse(&record, at, length, false, NULL) >= 0,
                         rows[i].light);
        buffer_free(&why);
        batch_free(&batch);
    }
}

/* At each length: nothing behind it is read (the sanitizer sees to that). */
static void
test_a_record_may_be_cut_anywhere(void **state)
{
    struct batch *batch = batch_new();
    const char *at = record_build(batch, RECORD_ARTICLE);
    size_t length = batch->octets->used - (size_t)(at - batch->octets->data);

    (void)state;
    for (size_t cut = 0; cut < length; cut++) {
        char *copy = xmalloc(cut + 1);
        struct buffer why = BUFFER_EMPTY;
        struct record record;

        memcpy(copy + 1, at, cut);
        assert_int_equal(record_parse(&record, copy + 1, cut, true, &why), -1);
        assert_non_null(
            strstr(buffer_text(&why), cut < sizeof(struct record_head)
                                          ? "cut off in its head"
                                          : "lengths do not fit"));
        buffer_free(&why);
        free(copy);
    }
    batch_free(&batch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_record_is_taken_apart),
        cmocka_unit_test(
            test_a_record_that_is_not_whole_is_told_from_one_that_is),
        cmocka_unit_test(test_a_record_may_be_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
