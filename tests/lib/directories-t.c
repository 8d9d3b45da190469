#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/directories.h"
#include "lib/memory.h"

/* A configuration whose directories all lie below root, at these places. */
static struct config *
config_below(const char *root, const char *spool)
{
    char *text = xasprintf("runasuser = \"\"\npathrun = \"%s/r/u/n\"\n"
                           "pathdb = \"%s/db\"\npathoverview = \"%s/ov\"\n"
                           "pathspool = \"%s/%s\"\n",
                           root, root, root, root, spool);
    struct buffer why = BUFFER_EMPTY;
    struct config *config = config_parse("t.conf", text, &why);

    assert_non_null(config);
    free(text);
    return config;
}

static mode_t
mode_of(const char *root, const char *name)
{
    char *path = xasprintf("%s/%s", root, name);
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    free(path);
    return status.st_mode & 07777;
}

static void
directory_remove(const char *root, const char *name)
{
    char *path = xasprintf("%s/%s", root, name);

    assert_int_equal(rmdir(path), 0);
    free(path);
}

static void
test_what_is_missing_is_made_and_the_rest_left_alone(void **state)
{
    char root[] = "/tmp/renews-directories-XXXXXX";
    struct buffer why = BUFFER_EMPTY;
    enum exit_status status;
    struct config *config;
    char *path;
    mode_t mask = umask(077);

    (void)state;
    assert_non_null(mkdtemp(root));
    config = config_below(root, "s");
    path = xasprintf("%s/db", root);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
    assert_int_equal(directories_make(config, &status, &why), 0);
    assert_int_equal(mode_of(root, "r/u/n"), 0750);
    assert_int_equal(mode_of(root, "r/u"), 0755); /* others pass through */
    assert_int_equal(mode_of(root, "s"), 0750);
    assert_int_equal(mode_of(root, "db"), 0700);
    assert_int_equal(directories_check(config, &status, &why), 0);
    assert_int_equal(directories_make(config, &status, &why), 0);
    config_free(&config);
    directory_remove(root, "r/u/n");
    directory_remove(root, "r/u");
    directory_remove(root, "r");
    directory_remove(root, "db");
    directory_remove(root, "ov");
    directory_remove(root, "s");
    assert_int_equal(rmdir(root), 0);
    buffer_free(&why);
    umask(mask);
}

static void
test_what_cannot_be_made_is_named_with_its_key(void **state)
{
    struct buffer why = BUFFER_EMPTY;
    enum exit_status status;
    struct config *config = config_below("/proc/nowhere", "s");

    (void)state;
    assert_int_equal(directories_make(config, &status, &why), -1);
    assert_int_equal(status, EXIT_SYSTEM); /* pathrun is the first */
    assert_memory_equal(why.data, "pathrun: cannot make /proc/nowhere/r/u/n",
                        strlen("pathrun: cannot make /proc/nowhere/r/u/n"));
    config_free(&config);
    buffer_free(&why);
}

static void
test_a_file_is_no_directory(void **state)
{
    char root[] = "/tmp/renews-directories-XXXXXX";
    struct buffer why = BUFFER_EMPTY;
    enum exit_status status;
    struct config *config;
    char *path;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(root));
    config = config_below(root, "s");
    path = xasprintf("%s/s", root);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(directories_make(config, &status, &why), 0);
    assert_int_equal(directories_check(config, &status, &why), -1);
    assert_int_equal(status, EXIT_IO);
    assert_non_null(strstr(why.data, "pathspool: "));
    assert_non_null(strstr(why.data, "Not a directory"));
    assert_int_equal(unlink(path), 0);
    free(path);
    config_free(&config);
    directory_remove(root, "r/u/n");
    directory_remove(root, "r/u");
    directory_remove(root, "r");
    directory_remove(root, "db");
    directory_remove(root, "ov");
    assert_int_equal(rmdir(root), 0);
    buffer_free(&why);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing_is_made_and_the_rest_left_alone),
        cmocka_unit_test(test_what_cannot_be_made_is_named_with_its_key),
        cmocka_unit_test(test_a_file_is_no_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
