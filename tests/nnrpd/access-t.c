/* Who may do what: one row for each case of access.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/tls.h"
#include "nnrpd/access.h"

enum {
    R = RIGHT_READ | RIGHT_NEWNEWS,
    P = RIGHT_POST,
    A = RIGHT_APPROVE,
    F = RIGHT_FEED,
    /* The columns "role" that are none. */
    NOBODY = 0,
};

static const char sections[] =
    "anonymous = read\n"
    "peer 'feeder' { address = {192.0.2.7} newsgroups = 'comp.*' }\n"
    "access 'lan' { addresses = {10.0.0.0/8} }\n"
    "access 'staff' { users = {'staff-*'} readable = 'staff.*,local.*'"
    " postable = 'staff.*' }\n"
    "access 'guests' { addresses = {10.9.0.0/16} readable = 'local.*'"
    " postable = '!*' }\n"
    "access 'mirror' { users = {mirror} peer = true feedable = 'sci.*'"
    " readable = '!*' postable = '!*' }\n"
    "access 'boss at home' { users = {staff-boss} addresses = {::1} }\n"
    "access 'safe' { tls = yes addresses = {198.51.100.0/24}"
    " approvable = 'mod.*' }\n"
    "access 'open' { tls = no addresses = {198.51.100.0/24}"
    " postable = '!*' approvable = 'mod.*' }\n"
    "access 'robot' { certificates = {'*.robots.example'}"
    " readable = 'mod.*' postable = 'mod.*' approvable = 'mod.a' }\n";
static const char closed[] = "anonymous = none\n"
                             "access 'members' { users = {'*'} }\n";
static const char no_newnews[] = "anonymous = post\nallownewnews = false\n";
static const char open_to_all[] = "anonymous = post\n";

static void
test_rights_by_address_and_account(void **state)
{
    static const struct {
        const char *configuration;
        const char *address;
        const char *user;
        unsigned role;
        unsigned rights;
        const char *reads; /* a group it may read, NULL: none of the next */
        const char *not_reads;
        const char *promise;
    } rows[] = {
        {open_to_all, "192.0.2.1", NULL, NOBODY, R | P, "a.b", NULL,
         "anonymous = post"},
        {no_newnews, "192.0.2.1", NULL, NOBODY, RIGHT_READ | P, "a.b", NULL,
         "no NEWNEWS where it is off"},
        {sections, "192.0.2.1", NULL, NOBODY, R, "a.b", NULL,
         "anonymous = read"},
        {sections, "192.0.2.7", NULL, NOBODY, R | F, "a.b", NULL,
         "a peer feeds, and is anonymous otherwise"},
        {sections, "192.0.2.1", "u", ACCOUNT_READER, R, "a.b", NULL, "reader"},
        {sections, "192.0.2.1", "u", ACCOUNT_POSTER, R | P, "a.b", NULL,
         "poster"},
        {sections, "192.0.2.1", "u", ACCOUNT_MODERATOR, R | P | A, "a.b", NULL,
         "moderator"},
        {sections, "192.0.2.1", "u", ACCOUNT_ADMIN, R | P | A, "a.b", NULL,
         "admin"},
        {sections, "192.0.2.1", "u", ACCOUNT_PEER, R | F, "a.b", NULL, "peer"},
        {sections, "192.0.2.1", "u", 99, 0, "a.b", NULL,
         "a role that is none has no rights"},
        {sections, "10.1.2.3", NULL, NOBODY, R | P, "a.b", NULL,
         "a section gives rights without login"},
        {sections, "10.1.2.3", "u", ACCOUNT_READER, R, "a.b", NULL,
         "a section gives no more than the role"},
        {sections, "10.9.2.3", NULL, NOBODY, R, "local.x", "a.b",
         "of two sections the last decides"},
        {sections, "192.0.2.1", "staff-x", ACCOUNT_POSTER, R | P, "staff.x",
         "a.b", "a section by account"},
        {sections, "10.9.2.3", "staff-x", ACCOUNT_POSTER, R, "local.x",
         "staff.x", "the last, by account or by address"},
        {sections, "::1", "staff-boss", ACCOUNT_POSTER, R | P, "a.b", NULL,
         "a section by both"},
        {sections, "192.0.2.1", "staff-boss", ACCOUNT_POSTER, R | P, "staff.x",
         "a.b", "... is for both only"},
        {sections, "192.0.2.1", "mirror", ACCOUNT_READER, F, NULL, "a.b",
         "a section makes a peer and takes reading"},
        {closed, "127.0.0.1", NULL, NOBODY, 0, "a.b", NULL,
         "a section for accounts is for nobody else"},
        {closed, "127.0.0.1", "u", ACCOUNT_POSTER, R | P, "a.b", NULL,
         "... and for all of them with *"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer why = BUFFER_EMPTY;
        struct config *config =
            config_parse("t.conf", rows[i].configuration, &why);
        struct access access = {0};
        struct access_client asker = {.address = rows[i].address,
                                      .user = rows[i].user,
                                      .role = rows[i].role,
                                      .moderates = "*"};

        if (config == NULL)
            fail_msg("%s", buffer_text(&why));
        access_evaluate(&access, config, &asker);
        if (access.rights != rows[i].rights)
            fail_msg("%s: rights %#x, not %#x", rows[i].promise, access.rights,
                     rows[i].rights);
        if (rows[i].reads != NULL
            && !access_reads_group(&access, rows[i].reads,
                                   strlen(rows[i].reads)))
            fail_msg("%s: does not read %s", rows[i].promise, rows[i].reads);
        if (rows[i].not_reads != NULL
            && access_reads_group(&access, rows[i].not_reads,
                                  strlen(rows[i].not_reads)))
            fail_msg("%s: reads %s", rows[i].promise, rows[i].not_reads);
        access_free(&access);
        config_free(&config);
    }
}

static void
evaluate(struct access *access, const struct config *config,
         const char *address, const char *user, unsigned role)
{
    struct access_client asker = {
        .address = address, .user = user, .role = role, .moderates = "*"};

    access_evaluate(access, config, &asker);
}

static void
test_a_peer_has_a_name_and_what_it_may_send(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", sections, &why);
    struct access access = {0};

    (void)state;
    assert_non_null(config);
    evaluate(&access, config, "192.0.2.7", NULL, 0);
    assert_string_equal(access.peer, "feeder");
    assert_string_equal(access.peer_newsgroups, "comp.*");
    assert_int_equal(access.peer_number, 1);
    /* Again, after a login: nothing of the first is left. */
    evaluate(&access, config, "192.0.2.1", "mirror", ACCOUNT_READER);
    assert_string_equal(access.peer, "mirror");
    assert_string_equal(access.peer_newsgroups, "sci.*");
    assert_int_equal(access.peer_number, 0);
    evaluate(&access, config, "192.0.2.1", "other", ACCOUNT_PEER);
    assert_string_equal(access.peer, "other");
    assert_string_equal(access.peer_newsgroups, "*");
    evaluate(&access, config, "192.0.2.1", NULL, 0);
    assert_null(access.peer);
    assert_null(access.user);
    access_free(&access);
    config_free(&config);
}

static void
test_posting_is_by_group_too(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", sections, &why);
    struct access access = {0};

    (void)state;
    assert_non_null(config);
    evaluate(&access, config, "192.0.2.1", "staff-x", ACCOUNT_POSTER);
    assert_true(access_posts_to_group(&access, "staff.x", 7));
    assert_false(access_posts_to_group(&access, "local.x", 7));
    evaluate(&access, config, "192.0.2.1", NULL, 0);
    assert_true(access_posts_to_group(&access, "local.x", 7));
    access_free(&access);
    config_free(&config);
}

static void
test_approving_is_by_group(void **state)
{
    static char name[] = "a.robots.example";
    static char other_name[] = "robots.example";
    static char *names[] = {name, other_name};
    static const struct tls_identity robot = {
        .trusted = true, .names = names, .name_count = 1};
    static const struct tls_identity impostor = {
        .trusted = true, .names = &names[1], .name_count = 1};
    static const struct {
        struct access_client client;
        const char *approves; /* NULL: none of the next */
        const char *not_approves;
        const char *promise;
    } rows[] = {
        {{.address = "192.0.2.1",
          .user = "m",
          .role = ACCOUNT_MODERATOR,
          .moderates = "mod.a,x.*"},
         "mod.a",
         "mod.b",
         "a moderator, what his account says"},
        {{.address = "192.0.2.1", .user = "a", .role = ACCOUNT_ADMIN},
         "mod.a",
         NULL,
         "an admin, everything"},
        {{.address = "192.0.2.1",
          .user = "p",
          .role = ACCOUNT_POSTER,
          .moderates = "*"},
         NULL,
         "mod.a",
         "a poster, nothing whatever stands beside his name"},
        {{.address = "192.0.2.1"}, NULL, "mod.a", "nobody, nothing"},
        {{.address = "198.51.100.1", .secure = true},
         "mod.a",
         "x.a",
         "by address, where the connection is encrypted"},
        {{.address = "198.51.100.1"},
         NULL,
         "mod.a",
         "... and not where it is plain"},
        {{.address = "198.51.100.1",
          .secure = true,
          .user = "m",
          .role = ACCOUNT_MODERATOR,
          .moderates = "x.*"},
         "x.a",
         "y.a",
         "a moderator keeps his groups beside a section's"},
        {{.address = "198.51.100.1",
          .secure = true,
          .user = "r",
          .role = ACCOUNT_READER,
          .moderates = "*"},
         NULL,
         "mod.a",
         "a reader posts nothing, approved or not"},
        {{.address = "192.0.2.1", .certificate = &robot},
         "mod.a",
         "mod.b",
         "by the name in a certificate"},
        {{.address = "192.0.2.1", .certificate = &impostor},
         NULL,
         "mod.a",
         "... and by no other"},
        {{.address = "192.0.2.1",
          .certificate = &robot,
          .user = "a",
          .role = ACCOUNT_ADMIN},
         "mod.b",
         "x.a",
         "nobody approves where he may not post"},
    };
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", sections, &why);
    struct access access = {0};

    (void)state;
    if (config == NULL)
        fail_msg("%s", buffer_text(&why));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        access_evaluate(&access, config, &rows[i].client);
        if (rows[i].approves != NULL
            && !access_approves_group(&access, rows[i].approves,
                                      strlen(rows[i].approves)))
            fail_msg("%s: does not approve %s", rows[i].promise,
                     rows[i].approves);
        if (rows[i].not_approves != NULL
            && access_approves_group(&access, rows[i].not_approves,
                                     strlen(rows[i].not_approves)))
            fail_msg("%s: approves %s", rows[i].promise, rows[i].not_approves);
    }
    access_free(&access);
    config_free(&config);
}

static void
test_a_page_has_the_rights_of_its_address_but_never_feeds(void **state)
{
    static const struct {
        const char *address;
        const char *user;
        unsigned role;
        unsigned rights;
        const char *promise;
    } rows[] = {
        {"10.1.2.3", NULL, NOBODY, R | P, "a section by address"},
        {"10.9.2.3", NULL, NOBODY, R, "the last one that is for it"},
        {"192.0.2.1", "staff-x", ACCOUNT_POSTER, R | P, "one by account"},
        {"192.0.2.7", NULL, NOBODY, R, "at a peer's address"},
        {"192.0.2.7", "u", ACCOUNT_POSTER, R | P, "there, logged in"},
        {"192.0.2.1", "u", ACCOUNT_PEER, R, "logged in as a peer"},
        {"192.0.2.1", "mirror", ACCOUNT_READER, 0, "a peer by its section"},
    };
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", sections, &why);
    struct access access = {0};

    (void)state;
    assert_non_null(config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct access_client client = {.address = rows[i].address,
                                       .is_page = true,
                                       .user = rows[i].user,
                                       .role = rows[i].role,
                                       .moderates = "*"};

        access_evaluate(&access, config, &client);
        if (access.rights != rows[i].rights || access.peer != NULL)
            fail_msg("%s: rights %#x, not %#x", rows[i].promise, access.rights,
                     rows[i].rights);
    }
    access_free(&access);
    config_free(&config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights_by_address_and_account),
        cmocka_unit_test(test_a_peer_has_a_name_and_what_it_may_send),
        cmocka_unit_test(test_posting_is_by_group_too),
        cmocka_unit_test(test_approving_is_by_group),
        cmocka_unit_test(
            test_a_page_has_the_rights_of_its_address_but_never_feeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
