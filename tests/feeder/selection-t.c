#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "feeder/selection.h"
#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/memory.h"
#include "storage/active.h"
#include "storage/spool.h"

static const char *const groups[] = {"local.test", "local.other",
                                     "secret.test", "control.cancel"};

static struct active *
active_make(void)
{
    struct active *active = active_new(16);

    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(active_set(active, i + 1, groups[i],
                                    strlen(groups[i]), 'y', 0, 0, "", "",
                                    NULL),
                         0);
    return active;
}

static const struct {
    const char *push;
    int64_t maxsize;
    uint32_t ids[3]; /* ended by 0 */
    uint32_t bytes;
    bool wanted;
    const char *promise;
} heads[] = {
    {"*", 0, {1}, 100, true, "all groups"},
    {"!*", 0, {1}, 100, false, "none"},
    {"local.*", 0, {3}, 100, false, "another hierarchy"},
    {"local.*", 0, {3, 1}, 100, true, "one of two"},
    {"local.*,@secret.*", 0, {1, 3}, 100, false, "poison behind"},
    {"local.*,@secret.*", 0, {3, 1}, 100, false, "poison before"},
    {"*,!local.*", 0, {1}, 100, false, "taken out"},
    {"*", 99, {1}, 100, false, "too long"},
    {"*", 100, {1}, 100, true, "just as long as allowed"},
    {"local.*", 0, {4}, 100, true, "a control message is looked at"},
    {"*", 0, {77}, 100, false, "a group that is not there"},
};

static void
test_a_records_head_decides(void **state)
{
    struct active *active = active_make();

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct config_peer peer = {.push = (char *)(uintptr_t)heads[i].push,
                                   .maxsize = heads[i].maxsize};
        struct record_group in[3] = {0};
        struct record record = {.meta = (const char *)in};
        size_t count = 0;

        while (count < 3 && heads[i].ids[count] != 0) {
            in[count].group = heads[i].ids[count];
            count++;
        }
        record.head.type = RECORD_ARTICLE;
        record.head.bytes = heads[i].bytes;
        record.head.meta_octets = (uint32_t)(count * sizeof(in[0]));
        if (selection_may_want(&peer, active, &record) != heads[i].wanted)
            fail_msg("%s", heads[i].promise);
    }
    active_close(&active);
}

static const struct {
    const char *push;
    const char *path;
    const char *newsgroups;
    const char *control; /* NULL: none */
    bool wanted;
    const char *promise;
} articles[] = {
    {"*", "a!b!not", "local.test", NULL, true, "an article"},
    {"*", "a!peer.example!not", "local.test", NULL, false, "it was there"},
    {"*", "a!PEER.example!not", "local.test", NULL, false,
     "case does not matter"},
    {"*", "a!xpeer.example!not", "local.test", NULL, true, "another name"},
    {"*", "a!bad.example!not", "local.test", NULL, false, "excluded"},
    {"*,@secret.*", "a!not", "local.test,secret.far", NULL, false,
     "poison that is not carried here"},
    {"local.*", "a!not", "local.test", "cancel <a@b>", true,
     "a cancel goes where its groups go"},
    {"local.*", "a!not", "far.test", "cancel <a@b>", false,
     "and nowhere else"},
};

static void
test_the_article_itself_decides(void **state)
{
    char *exclude[] = {(char *)(uintptr_t) "worse.example",
                       (char *)(uintptr_t) "bad.example"};

    (void)state;
    for (size_t i = 0; i < sizeof(articles) / sizeof(articles[0]); i++) {
        struct config_peer peer = {
            .name = (char *)(uintptr_t) "peer.example",
            .push = (char *)(uintptr_t)articles[i].push,
            .exclude = exclude,
            .exclude_count = 2,
        };
        struct buffer text = BUFFER_EMPTY;
        struct article article;

        buffer_append_format(&text, "Path: %s\r\nNewsgroups: %s\r\n",
                             articles[i].path, articles[i].newsgroups);
        if (articles[i].control != NULL)
            buffer_append_format(&text, "Control: %s\r\n",
                                 articles[i].control);
        buffer_append_text(&text, "\r\nbody\r\n.\r\n");
        assert_int_equal(article_parse(&article, text.data, text.used, NULL),
                         0);
        if (selection_wants(&peer, &article) != articles[i].wanted)
            fail_msg("%s", articles[i].promise);
        buffer_free(&text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_records_head_decides),
        cmocka_unit_test(test_the_article_itself_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
