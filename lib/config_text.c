/* Reading renews.conf. */
#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/config_credentials.h"
#include "lib/config_private.h"
#include "lib/config_table.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/wildmat.h"

enum { INCLUDE_DEPTH_MAX = 10 }; /* a loop of files is found by its depth */
/* A record of the spool is an article, its head, and its batch's head. */
enum { RECORD_ROOM_OCTETS = 32 * 1024 };

/*
 * libconfuse gives a callback nothing of its caller's, and its scanner is
 * global anyhow: one file is read at a time, and this is where it stands.
 */
static struct {
    struct buffer *why;
    struct config *config; /* that is being read */
    bool failed;           /* the first error is the one that is told */
    int depth;             /* of include() */
} reading;

static const char whole_syntax[] =
    "key = value, key = {value, value}, include(\"FILE\") or "
    "peer \"NAME\" {...}, access \"NAME\" {...}, certificate \"NAME\" {...}";

/* The one way an error of the file is spelt. */
static void
reading_error(const cfg_t *cfg, const char *key, const char *found,
              const char *expected)
{
    if (reading.failed)
        return;
    reading.failed = true;
    why_set(reading.why, "%s:%d: %s: found %s, expected %s",
            cfg->filename != NULL ? cfg->filename : "configuration", cfg->line,
            key, found, expected);
}

/* How many octets to change until one is the other (Levenshtein). */
static size_t
text_distance(const char *one, const char *other)
{
    size_t length = strlen(other);
    size_t *row = xcalloc(length + 1, sizeof(size_t));
    size_t distance;

    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; one[i] != '\0'; i++) {
        size_t corner = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t best = corner + (one[i] != other[j]);

            corner = row[j + 1];
            if (corner + 1 < best)
                best = corner + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    distance = row[length];
    free(row);
    return distance;
}

static bool
cfg_is_root(const cfg_t *cfg)
{
    return strcmp(cfg->name, "root") == 0;
}

static const struct config_row *
cfg_rows(const cfg_t *cfg, size_t *count_r)
{
    if (strcmp(cfg->name, "access") == 0) {
        *count_r = config_access_row_count;
        return config_access_rows;
    }
    if (strcmp(cfg->name, "expire") == 0) {
        *count_r = config_expire_row_count;
        return config_expire_rows;
    }
    if (strcmp(cfg->name, "certificate") == 0) {
        *count_r = config_certificate_row_count;
        return config_certificate_rows;
    }
    *count_r = cfg_is_root(cfg) ? config_row_count : config_peer_row_count;
    return cfg_is_root(cfg) ? config_rows : config_peer_rows;
}

static void
unknown_key(const cfg_t *cfg, const char *key)
{
    struct buffer expected = BUFFER_EMPTY;
    size_t count;
    const struct config_row *rows = cfg_rows(cfg, &count);
    const char *nearest = NULL;
    size_t least = 4;

    /* A key of several hundred octets is no typing error. */
    for (size_t i = 0; i < count && strlen(key) < 64; i++) {
        size_t distance = text_distance(key, rows[i].name);

        if (distance < least) {
            least = distance;
            nearest = rows[i].name;
        }
    }
    if (cfg_is_root(cfg))
        buffer_append_text(&expected, "a key of renews.conf(5)");
    else
        buffer_append_format(&expected, "a key of %s %s section",
                             strchr("ae", cfg->name[0]) != NULL ? "an" : "a",
                             cfg->name);
    if (nearest != NULL)
        buffer_append_format(&expected, " (%s?)", nearest);
    reading_error(cfg, key, "an unknown key", buffer_text(&expected));
    buffer_free(&expected);
}

/* What libconfuse itself may find wrong, in our words. */
static const struct {
    const char *format;
    const char *found;
    const char *expected; /* NULL: the section that it is about */
} confuse_errors[] = {
    {"missing equal sign after option '%s'", "no \"=\" behind the key",
     "key = value"},
    {"attempt to append to non-list option '%s'", "\"+=\"", "key = value"},
    {"missing title for section '%s'", "no name", NULL},
    {"missing opening brace for section '%s'", "no \"{\"", NULL},
    {"missing parenthesis for function '%s'", "no \"(\"", "include(\"FILE\")"},
    {"syntax error in call of function '%s'", "something else",
     "include(\"FILE\")"},
    {"found duplicate title '%s'", "this name twice",
     "another name for each section"},
    {"premature end of file", "the end of the file", "a value or a \"}\""},
};

/* The formats name what they are about, where they know it, first. */
static const char *
error_key(const char *format, va_list args)
{
    const char *key = "syntax";
    va_list first;

    va_copy(first, args);
    if (strstr(format, "option '%s'") != NULL
        || strstr(format, "section '%s'") != NULL
        || strstr(format, "function '%s'") != NULL
        || strstr(format, "title '%s'") != NULL)
        key = va_arg(first, const char *);
    va_end(first);
    return key;
}

static void
confuse_error(cfg_t *cfg, const char *format, va_list args)
{
    const char *key = error_key(format, args);
    char *found;

    if (strcmp(format, "no such option '%s'") == 0) {
        unknown_key(cfg, key);
        return;
    }
    for (size_t i = 0; i < sizeof(confuse_errors) / sizeof(*confuse_errors);
         i++) {
        if (strcmp(format, confuse_errors[i].format) == 0) {
            char *section = xasprintf("%s \"NAME\" {...}", key);

            reading_error(cfg, key, confuse_errors[i].found,
                          confuse_errors[i].expected != NULL
                              ? confuse_errors[i].expected
                              : section);
            free(section);
            return;
        }
    }
    if (vasprintf(&found, format, args) < 0)
        die(EXIT_TEMPORARY, "out of memory: reading the configuration");
    reading_error(cfg, key, found, whole_syntax);
    free(found);
}

/* libconfuse calls it with each value, while file and line are known. */
static int
value_check(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    size_t count;
    const struct config_row *rows = cfg_rows(cfg, &count);
    struct buffer found = BUFFER_EMPTY;
    struct buffer expected = BUFFER_EMPTY;
    size_t i = 0;

    while (i < count && strcmp(rows[i].name, opt->name) != 0)
        i++;
    assert(i < count);
    if (config_row_accepts(&rows[i], value)) {
        config_note_origin(reading.config, &rows[i], value, cfg->filename,
                           cfg->line);
        *(const char **)result = value;
        return 0;
    }
    buffer_append_format(&found, "\"%s\"", value);
    config_row_expected(&rows[i], &expected);
    reading_error(cfg, opt->name, buffer_text(&found), buffer_text(&expected));
    buffer_free(&found);
    buffer_free(&expected);
    return 1;
}

/* Where the comment ends that begins at this place. */
static size_t
comment_end(const char *text, size_t at, size_t octets)
{
    bool block = text[at] == '/' && text[at + 1] == '*';
    size_t start = block ? at + 2 : at;
    const char *end = block ? memmem(text + start, octets - start, "*/", 2)
                            : memchr(text + start, '\n', octets - start);

    if (end == NULL)
        return octets;
    return (size_t)(end - text) + (block ? 2 : 0);
}

/*
 * libconfuse 3.3 counts a comment's line twice, and takes none within a list;
 * it is given none.
 */
static void
comments_blank(char *text, size_t octets)
{
    char quote = '\0';

    for (size_t at = 0; at < octets; at++) {
        if (quote != '\0') {
            if (text[at] == '\\')
                at++;
            else if (text[at] == quote)
                quote = '\0';
        } else if (text[at] == '"' || text[at] == '\'') {
            quote = text[at];
        } else if (text[at] == '#'
                   || (text[at] == '/' && at + 1 < octets
                       && (text[at + 1] == '/' || text[at + 1] == '*'))) {
            size_t end = comment_end(text, at, octets);

            for (; at < end; at++)
                if (text[at] != '\n')
                    text[at] = ' ';
            at--;
        }
    }
}

/* Let libconfuse read a text as cfg->filename; the text is changed. */
static int
text_parse(cfg_t *cfg, struct buffer *text)
{
    FILE *file;
    int result;

    buffer_append_char(text, ' '); /* fmemopen() refuses an empty text */
    comments_blank(text->data, text->used);
    file = fmemopen(text->data, text->used, "r");
    if (file == NULL)
        sysdie(EXIT_TEMPORARY, "fmemopen");
    result = cfg_parse_fp(cfg, file);
    fclose(file);
    return result == CFG_SUCCESS && !reading.failed ? 0 : -1;
}

/* The path of an included file is relative to the one that includes it. */
static char *
include_path(const cfg_t *cfg, const char *name)
{
    const char *slash = strrchr(cfg->filename, '/');

    if (name[0] == '/' || slash == NULL)
        return xstrdup(name);
    return xasprintf("%.*s/%s", (int)(slash - cfg->filename), cfg->filename,
                     name);
}

/*
 * include("FILE").  libconfuse's own leaves its scanner in the included file
 * after an error, which a server that reads again at each reload cannot have.
 */
static int
value_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
    char *outer_name = cfg->filename;
    int outer_line = cfg->line;
    struct buffer text = BUFFER_EMPTY;
    char *path;
    int result;

    if (argc != 1 || reading.depth >= INCLUDE_DEPTH_MAX) {
        reading_error(cfg, opt->name,
                      argc != 1 ? "another number of names"
                                : "files that include each other",
                      "one file name");
        return 1;
    }
    path = include_path(cfg, argv[0]);
    if (file_read(path, 0, CONFIG_FILE_OCTETS_MAX, &text) < 0) {
        char *found = xasprintf("\"%s\" (%s)", path, strerror(errno));

        reading_error(cfg, opt->name, found, "a file that can be read");
        free(found);
        free(path);
        buffer_free(&text);
        return 1;
    }
    reading.depth++;
    config_file_note(reading.config, path);
    cfg->filename = path;
    result = text_parse(cfg, &text);
    cfg->filename = outer_name;
    cfg->line = outer_line;
    reading.depth--;
    free(path);
    buffer_free(&text);
    return result == 0 ? 0 : 1;
}

static void
options_fill(cfg_opt_t *options, const struct config_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (config_row_is_list(&rows[i]))
            options[i] = (cfg_opt_t)CFG_STR_LIST_CB(
                rows[i].name, NULL, CFGF_NODEFAULT, value_check);
        else
            options[i] = (cfg_opt_t)CFG_STR_CB(rows[i].name, NULL,
                                               CFGF_NODEFAULT, value_check);
    }
}

/* Our tables as libconfuse's. */
static cfg_t *
reader_new(void)
{
    cfg_opt_t *options = xcalloc(config_row_count + 6, sizeof(cfg_opt_t));
    cfg_opt_t *peer = xcalloc(config_peer_row_count + 1, sizeof(cfg_opt_t));
    cfg_opt_t *access =
        xcalloc(config_access_row_count + 1, sizeof(cfg_opt_t));
    cfg_opt_t *expire =
        xcalloc(config_expire_row_count + 1, sizeof(cfg_opt_t));
    cfg_opt_t *certificate =
        xcalloc(config_certificate_row_count + 1, sizeof(cfg_opt_t));
    cfg_t *cfg;

    options_fill(peer, config_peer_rows, config_peer_row_count);
    peer[config_peer_row_count] = (cfg_opt_t)CFG_END();
    options_fill(access, config_access_rows, config_access_row_count);
    access[config_access_row_count] = (cfg_opt_t)CFG_END();
    options_fill(expire, config_expire_rows, config_expire_row_count);
    expire[config_expire_row_count] = (cfg_opt_t)CFG_END();
    options_fill(certificate, config_certificate_rows,
                 config_certificate_row_count);
    certificate[config_certificate_row_count] = (cfg_opt_t)CFG_END();
    options_fill(options, config_rows, config_row_count);
    options[config_row_count] = (cfg_opt_t)CFG_SEC(
        "peer", peer, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[config_row_count + 1] =
        (cfg_opt_t)CFG_FUNC("include", value_include);
    options[config_row_count + 2] = (cfg_opt_t)CFG_SEC(
        "access", access, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[config_row_count + 3] = (cfg_opt_t)CFG_SEC(
        "expire", expire, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[config_row_count + 4] =
        (cfg_opt_t)CFG_SEC("certificate", certificate,
                           CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[config_row_count + 5] = (cfg_opt_t)CFG_END();
    cfg = cfg_init(options, CFGF_NONE); /* copies them */
    free(options);
    free(peer);
    free(access);
    free(expire);
    free(certificate);
    if (cfg == NULL)
        die(EXIT_TEMPORARY, "out of memory: reading the configuration");
    cfg_set_error_function(cfg, confuse_error);
    return cfg;
}

/* Take over what was read for rows; a key that was not given: the default. */
static void
rows_take(const struct config_row *rows, size_t count, cfg_t *cfg,
          void *object)
{
    for (size_t i = 0; i < count; i++) {
        cfg_opt_t *opt = cfg_getopt(cfg, rows[i].name);
        unsigned size = cfg_opt_size(opt);
        const char **values;

        /* An empty list was given; a scalar without value was not. */
        if (size == 0
            && !(config_row_is_list(&rows[i])
                 && (opt->flags & CFGF_MODIFIED) != 0)) {
            config_row_set_fallback(&rows[i], object);
            continue;
        }
        values = xcalloc(size, sizeof(char *));
        for (unsigned j = 0; j < size; j++)
            values[j] = cfg_opt_getnstr(opt, j);
        config_row_set(&rows[i], object, values, size);
        free(values);
    }
}

/* One without the other is of no use. */
static int
key_check(const char *certfile, const char *keyfile, bool needed,
          const cfg_t *section)
{
    if (certfile[0] == '\0' && (needed || keyfile[0] != '\0'))
        reading_error(section, "tlscertfile", "none",
                      "the certificate of tlskeyfile");
    else if (certfile[0] != '\0' && keyfile[0] == '\0')
        reading_error(section, "tlskeyfile", "none",
                      "the private key of tlscertfile");
    else
        return 0;
    return -1;
}

/*
 * A peer feeds us, or we reach it.  Then its name stands for it in Path, and
 * for its files under pathdb.
 */
static int
peer_check(const struct config_peer *peer, const cfg_t *section)
{
    if (peer->address_count == 0 && peer->certificate_count == 0
        && peer->host[0] == '\0') {
        reading_error(section, "address", "none",
                      "at least one address or network, a certificate, or a "
                      "host");
        return -1;
    }
    if (peer->host[0] != '\0'
        && (peer->name[0] == '\0' || peer->name[0] == '.'
            || !config_row_accepts(&config_rows[0], peer->name))) {
        reading_error(section, "peer", peer->name,
                      "a name of letters, digits, \"-\", \".\"");
        return -1;
    }
    return key_check(peer->tlscertfile, peer->tlskeyfile, false, section);
}

static int
peers_take(struct config *config, cfg_t *cfg)
{
    unsigned count = cfg_size(cfg, "peer");

    config->peers = xcalloc(count, sizeof(struct config_peer));
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "peer", i);
        struct config_peer *peer = &config->peers[i];

        peer->name = xstrdup(cfg_title(section));
        config->peer_count = i + 1;
        rows_take(config_peer_rows, config_peer_row_count, section, peer);
        if (peer_check(peer, section) < 0)
            return -1;
    }
    return 0;
}

static void
accesses_take(struct config *config, cfg_t *cfg)
{
    unsigned count = cfg_size(cfg, "access");

    config->accesses = xcalloc(count, sizeof(struct config_access));
    config->access_count = count;
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "access", i);
        struct config_access *access = &config->accesses[i];

        access->name = xstrdup(cfg_title(section));
        rows_take(config_access_rows, config_access_row_count, section,
                  access);
    }
}

/* minimum <= keep <= maximum, or one of them would never count. */
static int
expire_check(const struct config_expire *rule, const cfg_t *section)
{
    const struct config_row *keep = &config_expire_rows[0];
    struct buffer found = BUFFER_EMPTY;
    struct buffer expected = BUFFER_EMPTY;
    const struct config_row *bound = NULL;

    if (rule->minimum_seconds > rule->keep_seconds)
        bound = &config_expire_rows[1];
    else if (rule->maximum_seconds < rule->keep_seconds)
        bound = &config_expire_rows[2];
    if (bound == NULL)
        return 0;
    config_row_print(bound, rule, &found);
    buffer_append_format(&expected, "%s keep, which is ",
                         bound == &config_expire_rows[1] ? "at most"
                                                         : "at least");
    config_row_print(keep, rule, &expected);
    reading_error(section, bound->name, buffer_text(&found),
                  buffer_text(&expected));
    buffer_free(&found);
    buffer_free(&expected);
    return -1;
}

static int
expires_take(struct config *config, cfg_t *cfg)
{
    unsigned count = cfg_size(cfg, "expire");

    config->expires = xcalloc(count, sizeof(struct config_expire));
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "expire", i);
        struct config_expire *rule = &config->expires[i];
        struct buffer why = BUFFER_EMPTY;

        rule->pattern = xstrdup(cfg_title(section));
        config->expire_count = i + 1;
        rows_take(config_expire_rows, config_expire_row_count, section, rule);
        if (strpbrk(rule->pattern, " \t\r\n") != NULL)
            why_set(&why, "without white space");
        if (why.used > 0
            || wildmat_check(rule->pattern, strlen(rule->pattern), &why) < 0) {
            char *expected = xasprintf("a wildmat (%s)", buffer_text(&why));

            reading_error(section, "expire", rule->pattern, expected);
            free(expected);
            buffer_free(&why);
            return -1;
        }
        if (expire_check(rule, section) < 0)
            return -1;
    }
    return 0;
}

static int
certificates_take(struct config *config, cfg_t *cfg)
{
    unsigned count = cfg_size(cfg, "certificate");

    config->certificates = xcalloc(count, sizeof(struct config_certificate));
    config->certificate_count = count;
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "certificate", i);
        struct config_certificate *one = &config->certificates[i];

        one->name = xstrdup(cfg_title(section));
        rows_take(config_certificate_rows, config_certificate_row_count,
                  section, one);
        if (key_check(one->tlscertfile, one->tlskeyfile, true, section) < 0)
            return -1;
    }
    return 0;
}

static void
pathhost_find(struct config *config)
{
    char name[256];

    if (config->pathhost[0] != '\0')
        return;
    free(config->pathhost);
    if (gethostname(name, sizeof(name)) == 0
        && memchr(name, '\0', sizeof(name)) != NULL
        && strchr(name, '.') != NULL
        && config_row_accepts(&config_rows[0], name))
        config->pathhost = xstrdup(name);
    else
        config->pathhost = xstrdup("news.invalid");
}

/* An absolute path, and a place for the address. */
static int
mta_check(const struct config *config, const cfg_t *cfg)
{
    if (config->mta[0] == '/' && strstr(config->mta, " %s") != NULL)
        return 0;
    reading_error(cfg, "mta", config->mta,
                  "the absolute path of a program and its words, \"%s\" for "
                  "the address among them");
    return -1;
}

/* A helper that is asked must be there. */
static int
sources_check(const struct config *config, const cfg_t *cfg)
{
    bool helper = false;

    for (size_t i = 0; i < config->accounts_source_count; i++)
        if (strcmp(config->accounts_sources[i], "helper") == 0)
            helper = true;
    if (!helper || config->accounts_helper[0] == '/')
        return 0;
    reading_error(cfg, "accounts_helper",
                  config->accounts_helper[0] == '\0' ? "nothing"
                                                     : config->accounts_helper,
                  "the path of a program, since accounts_sources names one");
    return -1;
}

/* What no row alone can say. */
static int
config_check(const struct config *config, const cfg_t *cfg)
{
    int64_t longest = config->maxartsize > config->localmaxartsize
                          ? config->maxartsize
                          : config->localmaxartsize;
    char *found;
    char *expected;

    if (mta_check(config, cfg) < 0)
        return -1;
    if (key_check(config->tlscertfile, config->tlskeyfile, false, cfg) < 0)
        return -1;
    if (config->tlscertfile[0] == '\0'
        && (config->tls_port != 0 || config->certificate_count > 0)) {
        reading_error(cfg, "tlscertfile", "none",
                      "a certificate, since tls_port or a certificate "
                      "section is there");
        return -1;
    }
    if (config->segment_octets >= longest + RECORD_ROOM_OCTETS)
        return 0;
    found = xasprintf("%" PRId64, config->segment_octets);
    expected = xasprintf("at least %" PRId64
                         " octets: the longest article and its head",
                         longest + RECORD_ROOM_OCTETS);
    reading_error(cfg, "segment_octets", found, expected);
    free(found);
    free(expected);
    return -1;
}

/* Read a text that stands in the file of this name; the text is changed. */
static struct config *
config_read(const char *name, struct buffer *text, struct buffer *why)
{
    cfg_t *cfg = reader_new();
    struct config *config = xcalloc(1, sizeof(*config));
    bool good;

    reading.why = why;
    reading.config = config;
    reading.failed = false;
    reading.depth = 0;
    cfg->filename = xstrdup(name);
    config->generation = 1;
    config_file_note(config, name);
    good = text_parse(cfg, text) == 0;
    /* A value that libconfuse refused without a word. */
    if (!good)
        reading_error(cfg, "syntax", "something unreadable", whole_syntax);
    if (good) {
        rows_take(config_rows, config_row_count, cfg, config);
        pathhost_find(config);
        accesses_take(config, cfg);
        good = peers_take(config, cfg) == 0 && expires_take(config, cfg) == 0
               && certificates_take(config, cfg) == 0
               && config_check(config, cfg) == 0
               && sources_check(config, cfg) == 0;
    }
    cfg_free(cfg);
    reading.why = NULL;
    reading.config = NULL;
    if (!good)
        config_free(&config);
    return config;
}

struct config *
config_load(const char *path, struct buffer *why)
{
    struct buffer text = BUFFER_EMPTY;
    struct config *config = NULL;

    if (file_read(path, 0, CONFIG_FILE_OCTETS_MAX, &text) < 0)
        why_set_errno(why, "%s: cannot be read", path);
    else
        config = config_read(path, &text, why);
    buffer_free(&text);
    return config;
}

struct config *
config_parse(const char *name, const char *text, struct buffer *why)
{
    struct buffer copy = BUFFER_EMPTY;
    struct config *config;

    buffer_append_text(&copy, text);
    config = config_read(name, &copy, why);
    buffer_free(&copy);
    return config;
}
