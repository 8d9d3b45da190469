/*
 * submit -- articles that were pulled, on their way to the writer.
 *
 * Each is kept until its outcome.  When the writer dies the master brings a
 * socket to the next one, and what has no outcome is sent again, marked
 * RESUBMIT.
 */
#ifndef FEEDER_SUBMIT_H
#define FEEDER_SUBMIT_H

#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"

struct buffer;
struct event_base;
struct submit;

typedef void submit_done_func(void *context, uint64_t number,
                              enum store_outcome outcome, const char *why);

struct submit *submit_new(struct event_base *base);
void submit_free(struct submit **submit);
/* A socket to the writer; owned from here on. */
void submit_connect(struct submit *submit, int fd);
/* Octets that have no outcome yet. */
size_t submit_octets(const struct submit *submit);
/* Submit what submission_build() made; takes over the buffer's contents.  done
   is called later, with the caller's number. */
void submit_article(struct submit *submit, struct buffer *payload,
                    uint64_t number, submit_done_func *done, void *context);
/* Nobody waits for outcomes any more; the articles are on their way. */
void submit_forget(struct submit *submit);

#endif
