#include "wsbridge/pages.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/buffer.h"
#include "lib/memory.h"

enum { PAGE_OCTETS_MAX = 4 * 1024 * 1024 };

struct pages {
    struct page *pages;
    size_t count;
};

static const char *
type_of(const char *name)
{
    static const struct {
        const char *ending;
        const char *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *ending = strrchr(name, '.');

    for (size_t i = 0; ending != NULL && i < sizeof(types) / sizeof(types[0]);
         i++)
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    return NULL;
}

static int
page_load(struct pages *pages, const char *path, const char *name, size_t size,
          struct buffer *why)
{
    const char *type = type_of(name);
    struct page *page;
    FILE *file;

    if (type == NULL)
        return 0;
    if (size > PAGE_OCTETS_MAX)
        return why_set(why, "%s: too long for a page", path);
    file = fopen(path, "re");
    if (file == NULL)
        return why_set_errno(why, "%s", path);
    pages->pages =
        xreallocarray(pages->pages, pages->count + 1, sizeof(*pages->pages));
    page = &pages->pages[pages->count++];
    *page = (struct page){.name = xstrdup(name), .type = type};
    page->octets = xcalloc(1, size + 1);
    page->length = fread(page->octets, 1, size, file);
    if (ferror(file)) {
        (void)fclose(file); /* it was only read */
        return why_set(why, "%s: cannot be read", path);
    }
    (void)fclose(file); /* as above */
    return 0;
}

struct pages *
pages_load(const char *directory, struct buffer *why)
{
    struct pages *pages = xcalloc(1, sizeof(*pages));
    char *top = xstrdup(directory);
    char *tops[] = {top, NULL};
    FTS *walk = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    int result = 0;

    if (walk == NULL)
        result = why_set_errno(why, "%s", directory);
    while (result == 0 && (entry = fts_read(walk)) != NULL) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.')
            (void)fts_set(walk, entry, FTS_SKIP); /* cannot fail so */
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR
                 || entry->fts_info == FTS_NS)
            result = why_set(why, "%s: %s", entry->fts_path,
                             strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_F)
            result = page_load(pages, entry->fts_path,
                               entry->fts_path + strlen(directory),
                               (size_t)entry->fts_statp->st_size, why);
    }
    if (walk != NULL)
        (void)fts_close(walk); /* NOCHDIR: nothing to go back to */
    free(top);
    if (result == 0 && pages_find(pages, "/") == NULL)
        result = why_set(why, "%s: no index.html there", directory);
    if (result < 0)
        pages_free(&pages);
    return pages;
}

void
pages_free(struct pages **pages)
{
    struct pages *old = *pages;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++) {
        free(old->pages[i].name);
        free(old->pages[i].octets);
    }
    free(old->pages);
    free(old);
    *pages = NULL;
}

const struct page *
pages_find(const struct pages *pages, const char *name)
{
    if (strcmp(name, "/") == 0)
        name = "/index.html";
    for (size_t i = 0; i < pages->count; i++)
        if (strcmp(pages->pages[i].name, name) == 0)
            return &pages->pages[i];
    return NULL;
}
