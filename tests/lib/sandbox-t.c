#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"

/* Directories of a server, each with one file in it. */
struct fixture {
    char *directory;
    struct config *config;
};

static char *
path_of(const struct fixture *fixture, const char *name)
{
    return xasprintf("%s/%s", fixture->directory, name);
}

static const char *const names[] = {"spool", "ov", "db", "other"};

static int
fixture_open(void **state)
{
    static const char template[] = "/tmp/renews-sandbox-XXXXXX";
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    char *here = xstrdup(template);
    char *text;
    int accounts;
    struct buffer why = BUFFER_EMPTY;

    assert_non_null(mkdtemp(here));
    fixture->directory = realpath(here, NULL);
    assert_non_null(fixture->directory);
    free(here);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = path_of(fixture, names[i]);
        char *file = xasprintf("%s/file", path);
        int fd;

        assert_int_equal(mkdir(path, 0700), 0);
        fd = open(file, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
        free(file);
        free(path);
    }
    text = path_of(fixture, "db/accounts.sqlite");
    accounts = open(text, O_CREAT | O_WRONLY, 0600);
    assert_true(accounts >= 0);
    close(accounts);
    free(text);
    text =
        xasprintf("pathspool = \"%s/spool\"\npathoverview = \"%s/ov\"\n"
                  "pathdb = \"%s/db\"\n",
                  fixture->directory, fixture->directory, fixture->directory);
    fixture->config = config_parse("t.conf", text, &why);
    assert_non_null(fixture->config);
    free(text);
    *state = fixture;
    return 0;
}

static int
fixture_close(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = path_of(fixture, names[i]);
        char *file = xasprintf("%s/file", path);
        char *made = xasprintf("%s/new", path);
        char *accounts = xasprintf("%s/accounts.sqlite", path);

        unlink(made);
        unlink(file);
        unlink(accounts);
        assert_int_equal(rmdir(path), 0);
        free(made);
        free(accounts);
        free(file);
        free(path);
    }
    assert_int_equal(rmdir(fixture->directory), 0);
    config_free(&fixture->config);
    free(fixture->directory);
    free(fixture);
    return 0;
}

enum deed { DEED_READ, DEED_WRITE, DEED_MAKE, DEED_REMOVE };

static const struct {
    enum sandbox_role role;
    const char *where;
    enum deed deed;
    bool allowed;
    const char *promise;
} cases[] = {
    {SANDBOX_NNRPD, "spool", DEED_READ, true, "a worker reads the spool"},
    {SANDBOX_NNRPD, "spool", DEED_WRITE, false, "and does not write to it"},
    {SANDBOX_NNRPD, "spool", DEED_MAKE, false, "nor make files there"},
    {SANDBOX_NNRPD, "spool", DEED_REMOVE, false, "nor remove any"},
    {SANDBOX_NNRPD, "ov", DEED_READ, true, "a worker reads the overview"},
    {SANDBOX_NNRPD, "ov", DEED_WRITE, true, "and its shared memory"},
    {SANDBOX_NNRPD, "ov", DEED_MAKE, false, "but makes nothing there"},
    {SANDBOX_NNRPD, "ov", DEED_REMOVE, false, "and removes nothing"},
    {SANDBOX_NNRPD, "db", DEED_READ, false, "secrets are not a worker's"},
    {SANDBOX_NNRPD, "other", DEED_READ, false, "nor is anything else"},
    {SANDBOX_NNRPD, "other", DEED_WRITE, false, "least of all to write"},
    {SANDBOX_WRITER, "spool", DEED_WRITE, true, "the writer writes"},
    {SANDBOX_WRITER, "spool", DEED_MAKE, true, "and makes segments"},
    {SANDBOX_WRITER, "spool", DEED_REMOVE, true, "and removes them"},
    {SANDBOX_WRITER, "db", DEED_MAKE, true, "and keeps a history"},
    {SANDBOX_WRITER, "other", DEED_READ, false, "and reads nothing else"},
    {SANDBOX_WRITER, "other", DEED_WRITE, false, "nor writes elsewhere"},
    {SANDBOX_AUTH, "db/accounts.sqlite", DEED_READ, true,
     "auth reads accounts"},
    {SANDBOX_AUTH, "db/accounts.sqlite", DEED_WRITE, true, "and writes them"},
    {SANDBOX_AUTH, "db/accounts.sqlite", DEED_REMOVE, false,
     "but cannot remove them"},
    {SANDBOX_AUTH, "db", DEED_READ, false, "nor reach what lies beside them"},
    {SANDBOX_AUTH, "db", DEED_MAKE, false, "nor make files there"},
    {SANDBOX_AUTH, "spool", DEED_READ, false, "and reads no articles"},
    {SANDBOX_WRITER, "spool", DEED_READ, true, "the writer reads its own"},
    {SANDBOX_BRIDGE, "spool", DEED_READ, false,
     "the bridge reads no articles"},
    {SANDBOX_BRIDGE, "ov", DEED_READ, false, "and no overview"},
    {SANDBOX_BRIDGE, "db", DEED_READ, false, "and no secret"},
    {SANDBOX_BRIDGE, "other", DEED_WRITE, false, "and writes nowhere"},
};

/* 0: could, 1: could not, for want of the right; 2: for another reason. */
static int
deed_try(const struct fixture *fixture, const char *where, enum deed deed)
{
    const char *name = deed == DEED_MAKE ? "/new" : "/file";
    /* where is a directory, or a file in one. */
    char *file = xasprintf("%s/%s%s", fixture->directory, where,
                           strchr(where, '/') == NULL ? name : "");
    int result;

    if (deed == DEED_REMOVE)
        result = unlink(file);
    else if (deed == DEED_READ)
        result = open(file, O_RDONLY);
    else
        result =
            open(file, O_WRONLY | (deed == DEED_MAKE ? O_CREAT : 0), 0600);
    if (result >= 0)
        return 0;
    return errno == EACCES ? 1 : 2;
}

static void
test_a_role_reaches_what_it_needs_and_no_more(void **state)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
        skip(); /* this kernel has no Landlock */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status;
        pid_t child;

        fixture_close(state);
        fixture_open(state);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct fixture *fixture = *state;

            sandbox_enter(cases[i].role, fixture->config);
            if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                _exit(3);
            _exit(deed_try(fixture, cases[i].where, cases[i].deed));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status)
            || WEXITSTATUS(status) != (cases[i].allowed ? 0 : 1))
            fail_msg("%s: status %x", cases[i].promise, (unsigned)status);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_role_reaches_what_it_needs_and_no_more, fixture_open,
            fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
