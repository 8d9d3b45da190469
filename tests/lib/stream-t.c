/*
 * Two streams at the ends of a socketpair, plain, under TLS, under deflate and
 * under both: what one appends the other reads.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/deflate.h"
#include "lib/memory.h"
#include "lib/stream.h"
#include "lib/tls.h"
#include "lib/tls_context.h"

/* --- a certificate, made once --- */

static char directory[] = "/tmp/renews-stream-XXXXXX";

static EVP_PKEY *
key_make(const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *path = xasprintf("%s/%s.key", directory, name);
    FILE *file = fopen(path, "w");

    assert_non_null(key);
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_int_equal(
        PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    free(path);
    return key;
}

static void
certificate_make(const char *name)
{
    EVP_PKEY *key = key_make(name);
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    char *path = xasprintf("%s/%s.pem", directory, name);
    FILE *file = fopen(path, "w");

    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    free(path);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static struct config *config;

static int
group_begin(void **state)
{
    struct buffer text = BUFFER_EMPTY, why = BUFFER_EMPTY;

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(directory));
    certificate_make("server.example");
    certificate_make("client.example");
    buffer_append_format(
        &text,
        "tlscertfile = %s/server.example.pem\n"
        "tlskeyfile = %s/server.example.key\n"
        "tlscafile = %s/client.example.pem\n"
        "peer server { host = server.example  tls = implicit\n"
        "tlscafile = %s/server.example.pem\n"
        "tlscertfile = %s/client.example.pem\n"
        "tlskeyfile = %s/client.example.key }\n"
        "peer other { host = other.example  tls = implicit\n"
        "tlscafile = %s/server.example.pem }\n",
        directory, directory, directory, directory, directory, directory,
        directory);
    config = config_parse("t.conf", buffer_text(&text), &why);
    if (config == NULL || config_read_credentials(config, &why) < 0)
        fail_msg("%s", buffer_text(&why));
    buffer_free(&text);
    return 0;
}

static int
group_end(void **state)
{
    char *command = xasprintf("rm -r %s", directory);

    (void)state;
    config_free(&config);
    assert_int_equal(system(command), 0);
    free(command);
    return 0;
}

/* --- two ends --- */

enum layers { PLAIN, TLS, DEFLATE, BOTH };
static const char *const layer_names[] = {"plain", "TLS", "deflate",
                                          "deflate over TLS"};

struct end {
    struct stream *stream;
    unsigned calls;
};

static struct event_base *base;
static struct end server, client;

static void
on_stream(void *context)
{
    struct end *end = context;

    end->calls++;
}

static void
turn(void)
{
    /* Without waiting: what comes comes at once. */
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
turn_until(bool (*condition)(void))
{
    for (int i = 0; i < 20000; i++) {
        if (condition())
            return;
        turn();
    }
    fail_msg("what was waited for does not come");
}

static bool
both_secured(void)
{
    return !stream_is_securing(server.stream)
           && !stream_is_securing(client.stream);
}

static void
tls_begin(const char *peer)
{
    struct buffer why = BUFFER_EMPTY;
    struct tls_context *ours = tls_context_server(config, &why);
    struct tls_context *theirs =
        tls_context_peer(config, config_find_peer(config, peer), &why);

    if (ours == NULL || theirs == NULL)
        fail_msg("%s", buffer_text(&why));
    stream_start_tls(server.stream,
                     tls_accept(ours, stream_fd(server.stream)));
    stream_start_tls(client.stream,
                     tls_connect(theirs, stream_fd(client.stream)));
    /* Each connection holds on to its own. */
    tls_context_free(&ours);
    tls_context_free(&theirs);
    turn_until(both_secured);
}

static void
plain_begin(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    base = event_base_new();
    server = client = (struct end){0};
    server.stream = stream_new(base, pair[0], on_stream, &server);
    client.stream = stream_new(base, pair[1], on_stream, &client);
}

static void
begin(enum layers layers)
{
    plain_begin();
    if (layers == TLS || layers == BOTH) {
        tls_begin("server");
        assert_non_null(stream_tls(server.stream));
        assert_non_null(stream_tls(client.stream));
    }
    if (layers == DEFLATE || layers == BOTH) {
        stream_start_deflate(server.stream, deflate_new());
        stream_start_deflate(client.stream, deflate_new());
    }
}

static void
end(void)
{
    stream_free(&server.stream);
    stream_free(&client.stream);
    event_base_free(base);
}

static void
append(struct end *from, const char *text)
{
    assert_int_equal(
        evbuffer_add(stream_output(from->stream), text, strlen(text)), 0);
    stream_flush(from->stream);
}

static void
input_is(struct end *at, const char *text)
{
    struct evbuffer *input = stream_input(at->stream);
    size_t length = strlen(text);

    for (int i = 0; i < 1000 && evbuffer_get_length(input) < length; i++)
        turn();
    assert_int_equal(evbuffer_get_length(input), length);
    assert_memory_equal(evbuffer_pullup(input, -1), text, length);
    evbuffer_drain(input, length);
}

/* --- what goes through --- */

static void
test_what_one_appends_the_other_reads(void **state)
{
    (void)state;
    for (enum layers layers = PLAIN; layers <= BOTH; layers++) {
        begin(layers);
        append(&client, "DATE\r\n");
        input_is(&server, "DATE\r\n");
        append(&server, "111 20260101000000\r\n");
        input_is(&client, "111 20260101000000\r\n");
        append(&server, "205 Bye\r\n");
        stream_shutdown(server.stream);
        input_is(&client, "205 Bye\r\n");
        for (int i = 0; i < 10; i++)
            turn();
        if (!stream_has_ended(client.stream))
            fail_msg("%s: no end", layer_names[layers]);
        assert_false(stream_has_failed(client.stream));
        end();
    }
}

/* As much as ever waits, taken by an end that reads a little at a time. */
static void
test_much_goes_through_in_order(void **state)
{
    enum { NUMBERS = 400000 };
    (void)state;
    for (enum layers layers = PLAIN; layers <= BOTH; layers++) {
        uint32_t put = 0, got = 0;

        begin(layers);
        while (got < NUMBERS) {
            struct evbuffer *input = stream_input(server.stream);

            while (put < NUMBERS && !stream_is_full(client.stream)) {
                evbuffer_add(stream_output(client.stream), &put, sizeof(put));
                put++;
            }
            stream_flush(client.stream);
            turn();
            for (uint32_t one;
                 evbuffer_get_length(input) >= sizeof(one) && got < NUMBERS;
                 got++) {
                evbuffer_remove(input, &one, sizeof(one));
                if (one != got)
                    fail_msg("%s: %u, not %u", layer_names[layers], one, got);
            }
        }
        assert_int_equal(stream_unsent(client.stream), 0);
        end();
    }
}

/* Input that is not wanted stays where it is, in whichever layer, and comes
   when it is: nothing waits for octets that have come already. */
static void
test_input_waits_until_it_is_wanted(void **state)
{
    (void)state;
    for (enum layers layers = PLAIN; layers <= BOTH; layers++) {
        char *much = xmalloc(150001);
        size_t got = 0;

        begin(layers);
        memset(much, 'x', 150000);
        much[150000] = '\0';
        stream_want_input(server.stream, false);
        append(&client, much);
        for (int i = 0; i < 50; i++) {
            stream_flush(client.stream);
            turn();
        }
        assert_int_equal(evbuffer_get_length(stream_input(server.stream)), 0);
        for (int i = 0; i < 5000 && got < 150000; i++) {
            struct evbuffer *input = stream_input(server.stream);

            /* One turn of each kind. */
            stream_want_input(server.stream, i % 2 == 0);
            stream_flush(client.stream);
            turn();
            if (evbuffer_get_length(input) > 2 * STREAM_READ_OCTETS)
                fail_msg("%s: %zu octets in a turn", layer_names[layers],
                         evbuffer_get_length(input));
            if (i % 2 != 0)
                assert_int_equal(evbuffer_get_length(input), 0);
            got += evbuffer_get_length(input);
            evbuffer_drain(input, evbuffer_get_length(input));
        }
        if (got != 150000)
            fail_msg("%s: %zu octets came", layer_names[layers], got);
        free(much);
        end();
    }
}

/* --- beginning a layer --- */

static void
test_what_came_in_the_clear_is_thrown_away(void **state)
{
    (void)state;
    plain_begin();
    append(&client, "STARTTLS\r\nPOST\r\n");
    input_is(&server, "STARTTLS\r\nPOST\r\n");
    append(&client, "injected\r\n");
    turn_until(both_secured);
    for (int i = 0; i < 10; i++)
        turn();
    assert_true(evbuffer_get_length(stream_input(server.stream)) > 0);
    tls_begin("server");
    append(&client, "DATE\r\n");
    input_is(&server, "DATE\r\n");
    end();
}

static void
test_output_before_deflate_goes_as_it_is(void **state)
{
    (void)state;
    plain_begin();
    append(&client, "COMPRESS DEFLATE\r\nplain");
    input_is(&server, "COMPRESS DEFLATE\r\nplain");
    evbuffer_add(stream_output(server.stream), "206 on\r\n", 8);
    stream_start_deflate(server.stream, deflate_new());
    stream_flush(server.stream);
    input_is(&client, "206 on\r\n");
    stream_start_deflate(client.stream, deflate_new());
    append(&server, "packed\r\n");
    input_is(&client, "packed\r\n");
    end();
}

/* --- who is there --- */

static void
test_both_ends_know_whom_they_speak_with(void **state)
{
    const struct tls_identity *identity;
    unsigned char ours[TLS_BINDING_OCTETS_MAX], theirs[TLS_BINDING_OCTETS_MAX];

    (void)state;
    begin(TLS);
    identity = tls_identity(stream_tls(server.stream));
    assert_non_null(identity);
    assert_true(identity->trusted);
    assert_string_equal(identity->subject, "client.example");
    assert_int_equal(identity->name_count, 1);
    assert_int_equal(strlen(identity->fingerprint), 7 + 64);
    assert_int_equal(strlen(identity->key_fingerprint), 12 + 64);
    assert_string_equal(tls_identity(stream_tls(client.stream))->subject,
                        "server.example");
    /* What binds a login is alike at both ends. */
    for (enum tls_binding kind = TLS_SERVER_END_POINT; kind <= TLS_EXPORTER;
         kind++) {
        assert_int_equal(tls_binding(stream_tls(server.stream), kind, ours),
                         32);
        assert_int_equal(tls_binding(stream_tls(client.stream), kind, theirs),
                         32);
        assert_memory_equal(ours, theirs, 32);
    }
    end();
}

static void
test_another_name_than_expected_fails_the_handshake(void **state)
{
    (void)state;
    plain_begin();
    tls_begin("other");
    assert_true(stream_has_failed(client.stream));
    assert_string_equal(stream_failure(client.stream),
                        "certificate: hostname mismatch");
    for (int i = 0; i < 10; i++)
        turn();
    assert_true(stream_has_failed(server.stream)
                || stream_has_ended(server.stream));
    end();
}

/* --- what is not what it should be --- */

static bool
server_failed(void)
{
    return stream_has_failed(server.stream);
}

static void
test_rubbish_fails_a_layer_and_says_why(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    struct tls_context *context = tls_context_server(config, &why);

    (void)state;
    plain_begin();
    stream_start_tls(server.stream,
                     tls_accept(context, stream_fd(server.stream)));
    append(&client, "CAPABILITIES\r\n");
    turn_until(server_failed);
    assert_true(stream_failure(server.stream)[0] != '\0');
    end();
    plain_begin();
    stream_start_deflate(server.stream, deflate_new());
    append(&client, "GROUP local.test\r\n");
    turn_until(server_failed);
    assert_string_equal(stream_failure(server.stream),
                        "what came is not deflate");
    end();
    tls_context_free(&context);
}

static void
test_an_end_within_a_handshake_is_a_failure(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    struct tls_context *context = tls_context_server(config, &why);

    (void)state;
    plain_begin();
    stream_start_tls(server.stream,
                     tls_accept(context, stream_fd(server.stream)));
    stream_shutdown(client.stream);
    turn_until(server_failed);
    end();
    tls_context_free(&context);
}

/* Octets that unfold a thousandfold come no faster than others. */
static void
test_a_bomb_unfolds_in_turns(void **state)
{
    enum { OCTETS = 3 * 1024 * 1024 };
    struct deflate *packer = deflate_new();
    struct evbuffer *plain = evbuffer_new(), *packed = evbuffer_new();
    size_t got = 0, turns = 0;
    char *much = xcalloc(1, OCTETS);

    (void)state;
    plain_begin();
    stream_start_deflate(server.stream, deflate_new());
    evbuffer_add(plain, much, OCTETS);
    assert_int_equal(deflate_pack(packer, plain, packed, OCTETS), 0);
    evbuffer_add_buffer(stream_output(client.stream), packed);
    stream_flush(client.stream);
    while (got < OCTETS && turns < 1000) {
        struct evbuffer *input = stream_input(server.stream);

        turn();
        turns++;
        assert_true(evbuffer_get_length(input) <= 2 * STREAM_READ_OCTETS);
        got += evbuffer_get_length(input);
        evbuffer_drain(input, evbuffer_get_length(input));
    }
    assert_int_equal(got, OCTETS);
    assert_true(turns >= OCTETS / (2 * STREAM_READ_OCTETS));
    evbuffer_free(plain);
    evbuffer_free(packed);
    deflate_free(&packer);
    free(much);
    end();
}

static void
test_there_are_no_more_than_a_process_has_memory_for(void **state)
{
    static struct deflate *all[DEFLATE_CONNECTIONS_MAX];

    (void)state;
    for (size_t i = 0; i < DEFLATE_CONNECTIONS_MAX; i++)
        assert_non_null(all[i] = deflate_new());
    assert_null(deflate_new());
    deflate_free(&all[0]);
    assert_non_null(all[0] = deflate_new());
    for (size_t i = 0; i < DEFLATE_CONNECTIONS_MAX; i++)
        deflate_free(&all[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_one_appends_the_other_reads),
        cmocka_unit_test(test_much_goes_through_in_order),
        cmocka_unit_test(test_input_waits_until_it_is_wanted),
        cmocka_unit_test(test_what_came_in_the_clear_is_thrown_away),
        cmocka_unit_test(test_output_before_deflate_goes_as_it_is),
        cmocka_unit_test(test_both_ends_know_whom_they_speak_with),
        cmocka_unit_test(test_another_name_than_expected_fails_the_handshake),
        cmocka_unit_test(test_rubbish_fails_a_layer_and_says_why),
        cmocka_unit_test(test_an_end_within_a_handshake_is_a_failure),
        cmocka_unit_test(test_a_bomb_unfolds_in_turns),
        cmocka_unit_test(test_there_are_no_more_than_a_process_has_memory_for),
    };

    return cmocka_run_group_tests(tests, group_begin, group_end);
}
