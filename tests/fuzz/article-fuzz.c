/*
 * Any octets as an article: parsing stays within them, and what is injected
 * can be parsed, scanned without fault and relayed.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/article.h"
#include "lib/buffer.h"
#include "lib/canlock.h"
#include "lib/message_id.h"
#include "lib/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1795467845 };

static const struct article_rules here = {"news.example.net", NOW, 0, 0};
static const struct article_rules peer = {"peer.example.org", NOW, 0, 0};

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
check_fields(const struct article *article)
{
    struct field_value found;
    struct buffer text = BUFFER_EMPTY;

    for (int i = 0; i < FIELD_COUNT; i++) {
        const struct field_value *value = &article->fields[i];

        must((value->octets != NULL) == (value->times > 0));
        must(head_find(article->octets, article->head_octets, field_name(i),
                       &found)
             == (value->times > 0));
        must(found.octets == value->octets && found.length == value->length
             && found.times == value->times
             && found.line_offset == value->line_offset
             && found.line_octets == value->line_octets);
        if (value->octets == NULL)
            continue;
        must(value->line_offset + value->line_octets <= article->head_octets);
        must(value->octets >= article->octets + value->line_offset);
        must(value->octets + value->length
             <= article->octets + value->line_offset + value->line_octets);
        buffer_clear(&text);
        field_unfold(value, &text);
        must(text.used <= value->length);
        must(strpbrk(buffer_text(&text), "\t\r\n") == NULL);
        must(strlen(buffer_text(&text)) == text.used);
    }
    buffer_free(&text);
}

static void
check_injection(const struct article *proto, const char *client_host)
{
    const struct injection injection = {
        .pathhost = "news.example.net",
        .pathcluster = client_host == NULL ? "cluster.example.net" : NULL,
        .client_host = client_host,
        .path_host = client_host,
        .account = "account \"x\"",
        .complaints = "abuse@example.net",
        .organization = "An organization",
        .distribution = "local",
        .sender = client_host == NULL ? NULL : "account@example.net",
        .own_sender = client_host != NULL,
        .strip_path = client_host == NULL,
        .strip_recipients = client_host == NULL,
        .cancel_lock = "sha256:a= sha256:b=",
        .cancel_key = client_host == NULL ? NULL : "sha256:c=",
    };
    struct buffer wire = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct wire_scanner before = {0, 0, 0};
    struct wire_scanner scanner = {0, 0, 0};
    struct article article;
    bool ended;

    /* Only what was scanned without fault gets so far in the server. */
    if (wire_scan(&before, proto->octets, proto->length, &ended)
            != proto->length
        || !ended || before.faults != 0)
        return;
    if (article_inject(proto, &here, &injection, &wire, &why) < 0) {
        must(wire.used == 0 && why.used > 0 && why.used < 400);
    } else {
        must(wire_scan(&scanner, wire.data, wire.used, &ended) == wire.used);
        must(ended && scanner.faults == 0);
        must(article_parse(&article, wire.data, wire.used, NULL) == 0);
        must(article_check_relayed(&article, &peer, NULL) == 0);
        must(article.lines == proto->lines);
        must(message_id_is_strict(article.fields[FIELD_MESSAGE_ID].octets,
                                  article.fields[FIELD_MESSAGE_ID].length));
        must(path_has(&article.fields[FIELD_PATH], "news.example.net"));
    }
    buffer_free(&wire);
    buffer_free(&why);
}

/* Locks of any article, and what it would remove. */
static void
check_removal(const struct article *article)
{
    struct buffer list = BUFFER_EMPTY;
    struct field_value target;

    canlock_append_field(&list, &article->fields[FIELD_CANCEL_LOCK]);
    must(strcspn(buffer_text(&list), "\r\n\t(") == list.used);
    must(!canlock_allows(CANCELS_REQUIRE_AUTH, "", buffer_text(&list)));
    (void)canlock_allows(CANCELS_AUTH,
                         "sha256:eA== sha512:eA==", buffer_text(&list));
    if (article_removes(article, &target)) {
        must(message_id_is_valid(target.octets, target.length));
        must(target.octets > article->octets
             && target.octets + target.length
                    <= article->octets + article->head_octets);
    }
    buffer_free(&list);
}

static void
check_article(const char *octets, size_t length)
{
    struct buffer line = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct article article;

    if (article_parse(&article, octets, length, &why) < 0) {
        must(why.used > 0);
    } else {
        must(article.body_offset == article.head_octets + 2);
        must(article.body_offset <= length - 3);
        must(article.bytes <= length);
        check_fields(&article);
        check_removal(&article);
        article_overview(&article, &line);
        must(strcspn(line.data, "\r\n") == line.used);
        if (article_check_relayed(&article, &here, &why) < 0)
            must(why.used > 0 && why.used < 400);
        check_injection(&article, "client.example.org");
        check_injection(&article, NULL);
    }
    buffer_free(&line);
    buffer_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer wire = BUFFER_EMPTY;
    char *copy = malloc(size + 1);

    /* As it is, in memory of just that size; then as text, which is more
       often an article. */
    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    check_article(copy, size);
    wire_from_text(&wire, copy, size);
    check_article(wire.data, wire.used);
    buffer_free(&wire);
    free(copy);
    return 0;
}
