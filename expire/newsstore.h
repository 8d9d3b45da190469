/*
 * newsstore -- what its commands share.  One file a command.
 */
#ifndef EXPIRE_NEWSSTORE_H
#define EXPIRE_NEWSSTORE_H

#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct config;

struct newsstore {
    const char *config_path;
    struct config *config;
    bool quiet;
    bool repair;      /* check */
    bool article;     /* show: the article too */
    uint32_t segment; /* show; 0: none was asked for */
    int words;        /* behind the command */
    char **word;
};

/* Each returns the exit status. */
int newsstore_backup(struct newsstore *newsstore);
int newsstore_check(struct newsstore *newsstore);
int newsstore_rebuild(struct newsstore *newsstore);
int newsstore_restore(struct newsstore *newsstore);
int newsstore_show(struct newsstore *newsstore);

#endif
