#include "ctlinnd/offline.h"

#include <stddef.h>

#include "lib/account.h"
#include "lib/buffer.h"
#include "lib/config.h"
#include "lib/directories.h"
#include "lib/user.h"
#include "storage/active.h"
#include "storage/store.h"

/* A tool beside us may hold the store for so long. */
enum { LOCK_WAIT_SECONDS = 5 };

/* Root's files in the store would keep the server from starting. */
static int
become_server(const struct config *config, struct buffer *answer)
{
    enum exit_status status;

    if (directories_make(config, &status, answer) < 0
        || user_become(config, answer) < 0)
        return -1;
    buffer_clear(answer);
    return 0;
}

int
offline_accounts(const struct config *config, int words,
                 const char *const *word, struct buffer *answer)
{
    struct accounts *accounts;
    int result;

    if (become_server(config, answer) < 0)
        return -1;
    accounts = accounts_open(config->accounts, config->pathdb, answer);
    if (accounts == NULL)
        return -1;
    result = accounts_command(accounts, words, word, answer);
    accounts_close(&accounts);
    return result;
}

int
offline_command(const struct config *config, int words,
                const char *const *word, struct buffer *answer)
{
    struct active *active;
    struct store *store;
    int result;

    if (become_server(config, answer) < 0)
        return -1;
    active = active_new((size_t)config->groups_max);
    store = store_open(config, active, LOCK_WAIT_SECONDS, answer);
    if (store == NULL) {
        active_close(&active);
        return -1;
    }
    buffer_clear(answer);
    result = store_command_now(store, words, word, answer);
    store_close(&store);
    active_close(&active);
    return result;
}
