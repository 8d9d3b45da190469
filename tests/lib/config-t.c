#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"

static struct config *
parse_good(const char *text)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", text, &why);

    if (config == NULL)
        fail_msg("refused: %s", buffer_text(&why));
    buffer_free(&why);
    return config;
}

static const struct {
    const char *text;
    const char *error;
    const char *promise;
} errors[] = {
    {"http_origins = {\"https://news.example.org/page\"}",
     "t.conf:1: http_origins: found \"https://news.example.org/page\", "
     "expected an origin (https://news.example.org)",
     "an origin has no path"},
    {"port = x",
     "t.conf:1: port: found \"x\", expected a number from 0 to 65535",
     "letters are no number"},
    {"# one\n\nport = 65536",
     "t.conf:3: port: found \"65536\", expected a number from 0 to 65535",
     "above the range; the line counts comments"},
    {"port = 1 # one\n# two\n\n/* three\nfour **/ port = x",
     "t.conf:5: port: found \"x\", expected a number from 0 to 65535",
     "lines of every kind of comment are counted"},
    {"// # /* one\nport = x",
     "t.conf:2: port: found \"x\", expected a number from 0 to 65535",
     "a comment ends with its line, whatever is in it"},
    {"organization = \"# // /*\\\" #\"\norganization = '# \\' //'\nport = x",
     "t.conf:3: port: found \"x\", expected a number from 0 to 65535",
     "a quoted text holds no comment"},
    {"artcutoff = -1",
     "t.conf:1: artcutoff: found \"-1\", expected a number from 0 to 36500 "
     "(days)",
     "below the range, with the unit"},
    {"port = 119x",
     "t.conf:1: port: found \"119x\", expected a number from 0 to 65535",
     "rubbish behind a number"},
    {"port = 99999999999999999999",
     "t.conf:1: port: found \"99999999999999999999\", expected a number from "
     "0 to 65535",
     "more than any number"},
    {"port = \"\"",
     "t.conf:1: port: found \"\", expected a number from 0 to 65535",
     "an empty value"},
    {"anonymous = writ",
     "t.conf:1: anonymous: found \"writ\", expected none, read or post",
     "none of the words"},
    {"allownewnews = maybe",
     "t.conf:1: allownewnews: found \"maybe\", expected true or false",
     "neither true nor false"},
    {"pathrun = run",
     "t.conf:1: pathrun: found \"run\", expected an absolute path",
     "a relative path"},
    {"pathhost = \"a!b\"",
     "t.conf:1: pathhost: found \"a!b\", expected a host name (letters, "
     "digits, \"-\", \".\")",
     "what would break Path"},
    {"organization = \"a\\nX: b\"",
     "t.conf:1: organization: found \"a\nX: b\", expected text without "
     "control characters",
     "what would become a header field of its own"},
    {"listen = {127.0.0.1, host}",
     "t.conf:1: listen: found \"host\", expected a numeric IPv4 or IPv6 "
     "address",
     "the wrong one of a list"},
    {"listen = {127.0.0.1,\nhost}",
     "t.conf:2: listen: found \"host\", expected a numeric IPv4 or IPv6 "
     "address",
     "the line within the list"},
    {"maxartsise = 5",
     "t.conf:1: maxartsise: found an unknown key, expected a key of "
     "renews.conf(5) (maxartsize?)",
     "a typing error is guessed"},
    {"frobnicate = 5",
     "t.conf:1: frobnicate: found an unknown key, expected a key of "
     "renews.conf(5)",
     "and what is none, not"},
    {"port 119",
     "t.conf:1: port: found no \"=\" behind the key, expected key = value",
     "a forgotten equals sign"},
    {"port += 1", "t.conf:1: port: found \"+=\", expected key = value",
     "adding to what is no list"},
    {"port =",
     "t.conf:1: syntax: found the end of the file, expected a value or a "
     "\"}\"",
     "a value forgotten at the end"},
    {"pathhost = \"abc",
     "t.conf:1: syntax: found the end of the file, expected a value or a "
     "\"}\"",
     "a quote forgotten"},
    {"peer {}", "t.conf:1: peer: found no name, expected peer \"NAME\" {...}",
     "a peer without name"},
    {"peer x\nport = 1",
     "t.conf:2: peer: found no \"{\", expected peer \"NAME\" {...}",
     "a peer without section"},
    {"expire \"*\" {\n  keep = 5\n  minimum = 6\n}",
     "t.conf:4: minimum: found 6, expected at most keep, which is 5",
     "a minimum above keep"},
    {"expire \"*\" {\n  keep = never\n  maximum = 30\n}",
     "t.conf:4: maximum: found 30, expected at least keep, which is never",
     "a maximum below keep"},
    {"expire \"*\" {\n  maximum = 0.5\n}",
     "t.conf:3: maximum: found 0.5, expected at least keep, which is "
     "never",
     "a maximum, and no keep"},
    {"expire \"*\" {\n  keep = soon\n}",
     "t.conf:2: keep: found \"soon\", expected days from 0 to 36500, or never",
     "no number of days"},
    {"expire \"*\" {\n  keep = -1\n}",
     "t.conf:2: keep: found \"-1\", expected days from 0 to 36500, or never",
     "fewer than none"},
    {"expire \"*\" {\n  keep = 1.\n}",
     "t.conf:2: keep: found \"1.\", expected days from 0 to 36500, or never",
     "a point and no fraction"},
    {"remember = 36501",
     "t.conf:1: remember: found \"36501\", expected days from 0 to 36500, or "
     "never",
     "more days than anybody has"},
    {"expire \"a.*,,b.*\" {}",
     "t.conf:1: expire: found a.*,,b.*, expected a wildmat (the "
     "wildmat has an empty pattern)",
     "an empty part of a wildmat"},
    {"expire \"a.* b.*\" {}",
     "t.conf:1: expire: found a.* b.*, expected a wildmat (without white "
     "space)",
     "two wildmats for one"},
    {"expire x {}\nexpire x {}",
     "t.conf:2: x: found this name twice, expected another name for each "
     "section",
     "two rules for the same, of which one never counts"},
    {"expire x {\n  keeps = 1\n}",
     "t.conf:2: keeps: found an unknown key, expected a key of an expire "
     "section (keep?)",
     "a typing error in a rule"},
    {"access {}",
     "t.conf:1: access: found no name, expected access \"NAME\" {...}",
     "an access section without name"},
    {"access x {}\naccess x {}",
     "t.conf:2: x: found this name twice, expected another name for each "
     "section",
     "an access section twice"},
    {"access x {\n  addresses = {nowhere}\n}",
     "t.conf:2: addresses: found \"nowhere\", expected an address or a "
     "network "
     "(192.0.2.0/24)",
     "an access section's address that is none"},
    {"access x { users = {\"a b\"} }",
     "t.conf:1: users: found \"a b\", expected patterns without spaces",
     "a user with a space"},
    {"access x { readable = \"a,,b\" }",
     "t.conf:1: readable: found \"a,,b\", expected a wildmat without spaces",
     "a wildmat with nothing between commas"},
    {"access x { reedable = \"a\" }",
     "t.conf:1: reedable: found an unknown key, expected a key of an access "
     "section (readable?)",
     "a key of an access section that is none"},
    {"access x { peer = perhaps }",
     "t.conf:1: peer: found \"perhaps\", expected true or false",
     "a flag that is none"},
    {"plaintext_login = sometimes",
     "t.conf:1: plaintext_login: found \"sometimes\", expected never, local "
     "or "
     "always",
     "a plaintext_login that is none"},
    {"peer x { newsgroups = \"*\" }",
     "t.conf:1: address: found none, expected at least one address or "
     "network, a certificate, or a host",
     "a peer from nowhere"},
    {"peer x { address = 10.0.0.0/40 }",
     "t.conf:1: address: found \"10.0.0.0/40\", expected an address or a "
     "network (192.0.2.0/24)",
     "a wrong network"},
    {"peer \"a/b\" { host = news.example.net }",
     "t.conf:1: peer: found a/b, expected a name of letters, digits, \"-\", "
     "\".\"",
     "a name that is none of a file's"},
    {"peer .x { host = news.example.net }",
     "t.conf:1: peer: found .x, expected a name of letters, digits, \"-\", "
     "\".\"",
     "a name that begins with a dot"},
    {"peer x { host = y exclude = {\"a b\"} }",
     "t.conf:1: exclude: found \"a b\", expected names of hosts (letters, "
     "digits, \"-\", \".\")",
     "a name in Path has no space"},
    {"peer x { host = y connections = 0 }",
     "t.conf:1: connections: found \"0\", expected a number from 1 to 50 "
     "(connections)",
     "no connection at all"},
    {"peer x { groups_max = 1 }",
     "t.conf:1: groups_max: found an unknown key, expected a key of a peer "
     "section",
     "a key of the top within a peer"},
    {"address = 127.0.0.1",
     "t.conf:1: address: found an unknown key, expected a key of "
     "renews.conf(5)",
     "a key of a peer at the top"},
    {"peer x { address = ::1 }\npeer x { address = ::2 }",
     "t.conf:2: x: found this name twice, expected another name for each "
     "section",
     "two peers of one name"},
    {"include(\"/nonexistent/renews\")",
     "t.conf:1: include: found \"/nonexistent/renews\" (No such file or "
     "directory), expected a file that can be read",
     "an included file that is not there"},
    {"include(\"/tmp\")",
     "t.conf:1: include: found \"/tmp\" (Is a directory), expected a file "
     "that can be read",
     "an included directory"},
    {"include()",
     "t.conf:1: include: found another number of names, expected one file "
     "name",
     "nothing to include"},
    {"maxartsize = 2000000\nsegment_octets = 2000000",
     "t.conf:2: segment_octets: found 2000000, expected at least 2032768 "
     "octets: the longest article and its head",
     "two keys that do not fit each other"},
};

static void
test_errors_name_file_line_key_found_and_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct buffer why = BUFFER_EMPTY;
        struct config *config = config_parse("t.conf", errors[i].text, &why);

        if (config != NULL)
            fail_msg("not refused: %s", errors[i].promise);
        if (strcmp(buffer_text(&why), errors[i].error) != 0)
            fail_msg("%s:\n  is       %s\n  expected %s", errors[i].promise,
                     buffer_text(&why), errors[i].error);
        buffer_free(&why);
    }
}

static void
test_an_empty_file_gives_all_defaults(void **state)
{
    struct config *config = parse_good("");

    (void)state;
    assert_int_equal(config->generation, 1);
    assert_int_equal(config->port, 119);
    assert_int_equal(config->listen_count, 2);
    assert_string_equal(config->listen[0], "0.0.0.0");
    assert_string_equal(config->listen[1], "::");
    assert_string_not_equal(config->pathhost, "");
    assert_string_equal(config->organization, "");
    assert_string_equal(config->overview, "sqlite");
    assert_string_equal(config->runasuser, "news");
    assert_int_equal(config->artcutoff, 10);
    assert_int_equal(config->maxartsize, 1000000);
    assert_int_equal(config->anonymous, ACCESS_READ);
    assert_true(config->allownewnews);
    assert_false(config->syslog);
    assert_int_equal(config->log_level, LOG_LEVEL_NOTICE);
    assert_int_equal(config->peer_count, 0);
    config_free(&config);
    assert_null(config);
}

static void
test_values_are_read(void **state)
{
    struct config *config = parse_good(
        "pathhost = news.example.net\n"
        "anonymous = post # a comment\n"
        "log_level = debug\n"
        "allownewnews = off\n"
        "artcutoff = 0 artcutoff = 7\n"
        "listen = 127.0.0.1\n"
        "listen += { # a comment in a list\n"
        "   ::1, /* and one */ 127.0.0.2 }\n"
        "peer \"a b\" { address = {192.0.2.1, 2001:db8::/32}\n"
        "  newsgroups = \"comp.*,!comp.os.*\" maxconnections = 3 }\n"
        "peer c { address = ::1 }\n");

    (void)state;
    assert_string_equal(config->pathhost, "news.example.net");
    assert_int_equal(config->anonymous, ACCESS_POST);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_false(config->allownewnews);
    assert_int_equal(config->artcutoff, 7); /* the last one counts */
    assert_int_equal(config->listen_count, 3);
    assert_string_equal(config->listen[1], "::1");
    assert_string_equal(config->listen[2], "127.0.0.2");
    assert_int_equal(config->peer_count, 2);
    assert_string_equal(config->peers[0].name, "a b");
    assert_int_equal(config->peers[0].address_count, 2);
    assert_string_equal(config->peers[0].addresses[1], "2001:db8::/32");
    assert_string_equal(config->peers[0].newsgroups, "comp.*,!comp.os.*");
    assert_int_equal(config->peers[0].maxconnections, 3);
    assert_string_equal(config->peers[1].newsgroups, "*");
    config_free(&config);
}

static void
test_an_empty_list_is_no_default(void **state)
{
    struct config *config = parse_good("listen = {}");

    (void)state;
    assert_int_equal(config->listen_count, 0);
    config_free(&config);
}

static void
test_the_environment_gives_values(void **state)
{
    struct config *config;

    (void)state;
    setenv("RENEWS_TEST", "/srv/a'b", 1);
    config = parse_good("pathrun = \"${RENEWS_TEST}/run\"\n"
                        "port = ${RENEWS_PORT:-1119}\n");
    assert_string_equal(config->pathrun, "/srv/a'b/run");
    assert_int_equal(config->port, 1119);
    config_free(&config);
    unsetenv("RENEWS_TEST");
}

/* A directory with the given files; the caller frees the path. */
static char *
directory_make(void)
{
    char *path = xstrdup("/tmp/renews-config-XXXXXX");

    assert_non_null(mkdtemp(path));
    return path;
}

static char *
file_write(const char *directory, const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void
file_remove(char *path)
{
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void
test_an_included_file_is_found_beside_its_includer(void **state)
{
    char *directory = directory_make();
    char *outer = file_write(directory, "outer",
                             "port = 1\ninclude(\"inner\")\nartcutoff = 3\n");
    char *inner = file_write(directory, "inner", "port = 2\n");
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_load(outer, &why);

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->port, 2);
    assert_int_equal(config->artcutoff, 3);
    config_free(&config);

    /* An error behind the include is in the outer file again, and the reader
       is of use after errors within the inner one, however many. */
    file_remove(inner);
    inner = file_write(directory, "inner", "\n\nport = z\n");
    for (int i = 0; i < 20; i++) {
        char *expected = xasprintf("%s:3: port: found \"z\"", inner);

        assert_null(config_load(outer, &why));
        assert_memory_equal(buffer_text(&why), expected, strlen(expected));
        free(expected);
    }
    file_remove(inner);
    inner = file_write(directory, "inner", "\n\n\n\nport = 2\n");
    file_remove(outer);
    outer = file_write(directory, "outer", "include(\"inner\")\nx = 1\n");
    assert_null(config_load(outer, &why));
    assert_non_null(strstr(buffer_text(&why), "outer:2: x: found"));

    file_remove(inner);
    inner = file_write(directory, "inner", "include(\"outer\")\n");
    assert_null(config_load(outer, &why));
    assert_non_null(strstr(buffer_text(&why), "include each other"));
    file_remove(inner);
    file_remove(outer);
    assert_int_equal(rmdir(directory), 0);
    free(directory);
    buffer_free(&why);
}

static void
test_a_file_that_is_not_there_is_named(void **state)
{
    struct buffer why = BUFFER_EMPTY;

    (void)state;
    assert_null(config_load("/nonexistent/renews.conf", &why));
    assert_string_equal(buffer_text(&why),
                        "/nonexistent/renews.conf: cannot be read: No such "
                        "file or directory");
    assert_null(config_load("/tmp", &why));
    assert_string_equal(buffer_text(&why),
                        "/tmp: cannot be read: Is a directory");
    buffer_free(&why);
}

static const char odd_values[] =
    "pathhost = h\norganization = \"it's \\\\ \\${HOME} \\\" #x\"\n"
    "listen = {} complaints = \"a\\\\\"\n"
    "peer \"p'\\\\q\" { address = {::1, 10.0.0.0/8} newsgroups = \"a.*,!b\" "
    "}\n";

static void
test_what_is_printed_reads_back_the_same(void **state)
{
    struct config *config = parse_good(odd_values);
    struct buffer one = BUFFER_EMPTY;
    struct buffer two = BUFFER_EMPTY;
    struct config *again;

    (void)state;
    config_print(config, &one);
    again = parse_good(buffer_text(&one));
    config_print(again, &two);
    assert_string_equal(buffer_text(&one), buffer_text(&two));
    assert_string_equal(again->organization, "it's \\ ${HOME} \" #x");
    assert_string_equal(again->complaints, "a\\");
    assert_int_equal(again->listen_count, 0);
    assert_string_equal(again->peers[0].name, "p'\\q");
    buffer_free(&one);
    buffer_free(&two);
    config_free(&config);
    config_free(&again);
}

static void
test_a_child_gets_what_the_master_has(void **state)
{
    struct config *config = parse_good(odd_values);
    struct buffer one = BUFFER_EMPTY;
    struct buffer two = BUFFER_EMPTY;
    struct config *child;
    int fd;

    (void)state;
    config->generation = 77;
    fd = config_to_memfd(config, CONFIG_KEYS_SERVER);
    assert_int_equal(write(fd, "x", 1), -1); /* sealed */
    assert_int_equal(ftruncate(fd, 0), -1);
    child = config_from_memfd(dup(fd), &one);
    assert_non_null(child);
    assert_int_equal(child->generation, 77);
    config_print(config, &one);
    config_print(child, &two);
    assert_string_equal(buffer_text(&one), buffer_text(&two));
    config_free(&child);

    /* A second child reads from the start, whatever the first one did. */
    child = config_from_memfd(fd, &one);
    assert_non_null(child);
    config_free(&child);
    config_free(&config);
    buffer_free(&one);
    buffer_free(&two);
}

/* A file of this text, which the caller removes. */
static char *
file_make(const char *text)
{
    char *path = xstrdup("/tmp/config-t-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void
test_the_files_that_it_names_come_along(void **state)
{
    char *path = file_make("Hello\r\nyou\n");
    char *text = xasprintf("motd = \"%s\"", path);
    struct config *config = parse_good(text);
    struct config *other = parse_good(text);
    struct buffer why = BUFFER_EMPTY;
    struct buffer changed = BUFFER_EMPTY;
    struct buffer restart = BUFFER_EMPTY;
    struct config *child;

    (void)state;
    assert_null(config->motd.text); /* to read them is the master's alone */
    assert_int_equal(config_read_files(config, &why), 0);
    assert_string_equal(config->motd.text, "Hello\nyou\n");
    child =
        config_from_memfd(config_to_memfd(config, CONFIG_KEYS_SERVER), &why);
    assert_non_null(child);
    assert_string_equal(child->motd.text, "Hello\nyou\n");
    assert_int_equal(child->motd.octets, 10);
    assert_null(child->moderators.text);

    /* A file that says something else is a change of its key. */
    assert_int_equal(config_compare(config, child, &changed, &restart), 0);
    assert_int_equal(config_compare(config, other, &changed, &restart), 1);
    assert_string_equal(buffer_text(&changed), "motd\n");

    unlink(path);
    assert_int_equal(config_read_files(other, &why), -1);
    assert_non_null(strstr(buffer_text(&why), path));
    config_free(&child);
    config_free(&other);
    config_free(&config);
    buffer_free(&why);
    buffer_free(&changed);
    buffer_free(&restart);
    free(path);
    free(text);
}

static void
test_a_secret_goes_only_to_those_who_may_hold_keys(void **state)
{
    char *path = file_make("0123456789abcdef0123456789abcdef\n");
    char *text = xasprintf("canlockuserfile = \"%s\"", path);
    struct config *config = parse_good(text);
    struct buffer why = BUFFER_EMPTY;
    struct config *child;

    (void)state;
    assert_int_equal(config_read_files(config, &why), 0);
    child =
        config_from_memfd(config_to_memfd(config, CONFIG_KEYS_SERVER), &why);
    assert_non_null(child);
    assert_string_equal(child->canlockuserfile.text,
                        config->canlockuserfile.text);
    config_free(&child);
    child = config_from_memfd(config_to_memfd(config, CONFIG_KEYS_NONE), &why);
    assert_non_null(child);
    assert_string_equal(child->canlockuserfile.path, path);
    assert_null(child->canlockuserfile.text);
    config_free(&child);

    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(config_read_files(config, &why), -1);
    assert_non_null(strstr(buffer_text(&why), "everybody on this machine"));
    unlink(path);
    config_free(&config);
    buffer_free(&why);
    free(path);
    free(text);
}

static void
test_no_configuration_is_made_of_nonsense(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    int pair[2];

    (void)state;
    assert_int_equal(pipe(pair), 0);
    assert_null(config_from_memfd(pair[0], &why));
    assert_string_not_equal(buffer_text(&why), "");
    close(pair[1]);
    buffer_free(&why);
}

static void
test_compare_names_what_differs_and_what_needs_a_restart(void **state)
{
    struct config *old = parse_good("artcutoff = 1\nport = 1\n"
                                    "peer a { address = ::1 }\n"
                                    "peer b { address = ::1 }\n");
    struct config *new = parse_good("artcutoff = 2\nport = 2\n"
                                    "listen = 127.0.0.1\n"
                                    "peer c { address = ::1 }\n"
                                    "peer b { address = ::2 }\n");
    struct buffer changed = BUFFER_EMPTY;
    struct buffer restart = BUFFER_EMPTY;

    (void)state;
    assert_int_equal(config_compare(old, old, &changed, &restart), 0);
    assert_string_equal(buffer_text(&changed), "");
    assert_int_equal(config_compare(old, new, &changed, &restart), 6);
    assert_string_equal(buffer_text(&changed),
                        "artcutoff\npeer c\npeer b\npeer a\n");
    assert_string_equal(buffer_text(&restart), "listen\nport\n");

    /* After config_keep only what can change has changed. */
    config_keep(new, old);
    assert_int_equal(new->port, 1);
    assert_int_equal(new->listen_count, 2);
    assert_int_equal(new->artcutoff, 2);
    buffer_clear(&restart);
    config_compare(old, new, &changed, &restart);
    assert_string_equal(buffer_text(&restart), "");
    config_free(&old);
    config_free(&new);
    buffer_free(&changed);
    buffer_free(&restart);
}

/* Take the leading "#" of each commented key away: the sample, all used. */
static void
sample_uncomment(struct buffer *text)
{
    for (char *at = text->data; at != NULL && *at != '\0';) {
        char *end = strchr(at, '\n');

        at += strspn(at, " ");
        if (at[0] == '#' && at[1] != ' ' && at[1] != '\n')
            at[0] = ' ';
        at = end == NULL ? NULL : end + 1;
    }
}

/* Give every key of this line a value that is as long. */
static void
sample_fill(struct buffer *text, const char *line, const char *with)
{
    char *at = text->data;

    assert_int_equal(strlen(line), strlen(with));
    assert_non_null(strstr(at, line));
    while ((at = strstr(at, line)) != NULL)
        memcpy(at, with, strlen(with));
}

static void
test_the_sample_is_true(void **state)
{
    struct buffer sample = BUFFER_EMPTY;
    struct buffer why = BUFFER_EMPTY;
    struct buffer changed = BUFFER_EMPTY;
    struct config *defaults = parse_good("");
    struct config *config;

    (void)state;
    config_print_sample(&sample);
    config = parse_good(buffer_text(&sample));
    assert_int_equal(config_compare(defaults, config, &changed, &changed), 0);
    config_free(&config);

    /* Every key in it is a key, and every default one that is accepted; the
       peer's address and the certificates alone must be filled in. */
    sample_uncomment(&sample);
    config = config_parse("sample", buffer_text(&sample), &why);
    assert_null(config);
    assert_non_null(strstr(buffer_text(&why), "address: found none"));
    sample_fill(&sample, "address = {}", "address= ::1");
    sample_fill(&sample, "tlscertfile = ''", "tlscertfile='/'\n");
    sample_fill(&sample, "tlskeyfile = ''", "tlskeyfile='/'\n");
    config = parse_good(buffer_text(&sample));
    config_free(&config);
    config_free(&defaults);
    buffer_free(&sample);
    buffer_free(&why);
    buffer_free(&changed);
}

static void
test_the_manual_names_every_key(void **state)
{
    struct buffer manual = BUFFER_EMPTY;
    struct config *config =
        parse_good("peer x { address = ::1 }\naccess x {}\n"
                   "tlscertfile = /a\ntlskeyfile = /b\n"
                   "certificate x { tlscertfile = /c  tlskeyfile = /d }");
    struct buffer keys = BUFFER_EMPTY;
    char *save = NULL;

    (void)state;
    config_print_manual(&manual);
    config_print(config, &keys);
    for (char *line = strtok_r(keys.data, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *equals = strstr(line, " = ");
        char *heading;

        if (equals == NULL)
            continue;
        *equals = '\0';
        heading = xasprintf(".TP\n.B %s\n", line + strspn(line, " "));
        assert_non_null(strstr(buffer_text(&manual), heading));
        free(heading);
    }
    config_free(&config);
    buffer_free(&manual);
    buffer_free(&keys);
}

/* The whole of a file of the tree; tests run at its top. */
static void
tree_read(const char *path, struct buffer *text)
{
    FILE *file = fopen(path, "r");
    size_t got;

    if (file == NULL)
        fail_msg("%s: cannot be read", path);
    do {
        got = fread(buffer_reserve(text, 4096), 1, 4096, file);
        text->used += got;
    } while (got > 0);
    buffer_reserve(text, 0)[0] = '\0';
    fclose(file);
}

static void
test_the_trees_sample_and_manual_are_those_of_the_table(void **state)
{
    struct buffer file = BUFFER_EMPTY;
    struct buffer table = BUFFER_EMPTY;

    (void)state;
    tree_read("samples/renews.conf", &file);
    config_print_sample(&table);
    /* On failure: innd --print-sample >samples/renews.conf */
    assert_string_equal(buffer_text(&file), buffer_text(&table));
    buffer_clear(&file);
    buffer_clear(&table);
    tree_read("doc/renews.conf.5", &file);
    config_print_manual(&table);
    /* On failure: put in what innd --print-manual prints. */
    assert_non_null(strstr(buffer_text(&file), buffer_text(&table)));
    buffer_free(&file);
    buffer_free(&table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_name_file_line_key_found_and_expected),
        cmocka_unit_test(test_an_empty_file_gives_all_defaults),
        cmocka_unit_test(test_values_are_read),
        cmocka_unit_test(test_an_empty_list_is_no_default),
        cmocka_unit_test(test_the_environment_gives_values),
        cmocka_unit_test(test_an_included_file_is_found_beside_its_includer),
        cmocka_unit_test(test_a_file_that_is_not_there_is_named),
        cmocka_unit_test(test_what_is_printed_reads_back_the_same),
        cmocka_unit_test(test_a_child_gets_what_the_master_has),
        cmocka_unit_test(test_the_files_that_it_names_come_along),
        cmocka_unit_test(test_a_secret_goes_only_to_those_who_may_hold_keys),
        cmocka_unit_test(test_no_configuration_is_made_of_nonsense),
        cmocka_unit_test(
            test_compare_names_what_differs_and_what_needs_a_restart),
        cmocka_unit_test(test_the_sample_is_true),
        cmocka_unit_test(test_the_manual_names_every_key),
        cmocka_unit_test(
            test_the_trees_sample_and_manual_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
