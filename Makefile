# Makefile -- builds, runs and tests Renews.
#
#   make            install what is missing, configure, build
#   make run        build, and start a server under ./run in the foreground
#   make check      build, and run every test that is not long
#   make check-long the long and nightly forms
#   make bench      measure, and print figures
#   make help       all targets
#
# What configure found is in Makefile.global.  Objects and programs go to
# build/VARIANT, so that the release, warnings-are-errors and sanitizer builds
# live side by side.  A folder's *.c files are found, not listed.

VARIANT = release
B       = build/$(VARIANT)

# Targets that need neither packages nor configure.
PLAIN = clean distclean help format
ifneq ($(filter-out $(PLAIN),$(or $(MAKECMDGOALS),all)),)
include Makefile.global
endif

CFLAGS_release  = -O2 -g
CFLAGS_strict   = -O2 -g -Werror
CFLAGS_sanitize = -O1 -g -Werror -fno-omit-frame-pointer \
    -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_fuzz     = -O1 -g -fno-omit-frame-pointer \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
    -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 \
    -Werror=format-security -Werror=implicit-function-declaration
HARDENING_release = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
HARDENING_strict  = $(HARDENING_release)

# -include: every file sees config.h first, and none can forget it.
ALL_CFLAGS = -std=gnu11 -include config.h -I. $(WARNINGS) \
    $(CFLAGS_$(VARIANT)) $(HARDENING_$(VARIANT)) $(LIBRARY_CFLAGS) \
    -DLIBEXECDIR='"$(libexecdir)/renews"' -DSYSCONFDIR='"$(sysconfdir)"' \
    -DDATADIR='"$(datadir)/renews"' \
    -pthread -MMD -MP $(CFLAGS)
ALL_LIBS   = $(LIBRARY_LIBS) -pthread -lm

# `make V=1` shows the whole commands.
ifneq ($(V),1)
QUIET_CC = @echo "  CC $@";
QUIET_AR = @echo "  AR $@";
QUIET_LD = @echo "  LD $@";
endif

LIB_SOURCES     = $(wildcard lib/*.c)
STORAGE_SOURCES = $(wildcard storage/*.c)
INND_SOURCES    = $(wildcard innd/*.c)
NNRPD_SOURCES   = $(wildcard nnrpd/*.c)
FEEDER_SOURCES  = $(wildcard feeder/*.c)
CTLINND_SOURCES = $(wildcard ctlinnd/*.c)
BRIDGE_SOURCES  = $(wildcard wsbridge/*.c)
TARGET_SOURCES  = $(wildcard expire/target*.c) expire/tools.c expire/interrupt.c
IMPORT_SOURCES  = $(wildcard expire/newsimport*.c) $(TARGET_SOURCES)
EXPIRE_SOURCES  = $(wildcard expire/expire*.c) $(TARGET_SOURCES)
NEWSSTORE_SOURCES = $(wildcard expire/newsstore*.c) $(TARGET_SOURCES)

objects = $(patsubst %.c,$(B)/%.o,$(1))

SBIN_PROGRAMS    = innd/innd ctlinnd/ctlinnd expire/expire expire/newsimport \
    expire/newsstore
LIBEXEC_PROGRAMS = nnrpd/nnrpd feeder/feeder wsbridge/wsbridge
PROGRAMS = $(addprefix $(B)/,$(SBIN_PROGRAMS) $(LIBEXEC_PROGRAMS))

UNIT_TESTS   = $(patsubst %.c,$(B)/%,$(wildcard tests/*/*-t.c))
FUZZ_TARGETS = $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/*-fuzz.c))
NEWSLOAD_SOURCES = $(addprefix tests/bench/,newsload.c engine.c \
    carrier.c rows.c articles.c)
SHIMS = $(patsubst %.c,$(B)/%.so,$(wildcard tests/fault/*-shim.c))

.PHONY: all run check check-long bench install clean distclean format lint \
    sanitize fuzz help mutants programs units shims bench-tools
.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.SECONDARY:

all: programs

programs: $(PROGRAMS)

# --- configure: the packages first, so that a fresh machine gets this far

configure: configure.ac build-aux/packages
	build-aux/install-packages build
	autoheader
	autoconf
	@touch configure

config.h.in: configure ;

Makefile.global config.h: configure config.h.in Makefile.global.in
	./configure --quiet $(CONFIGURE_FLAGS)
	@touch config.h Makefile.global

# --- building

$(B)/%.o: %.c config.h Makefile Makefile.global
	@mkdir -p $(@D)
	$(QUIET_CC)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/lib.a: $(call objects,$(LIB_SOURCES))
	@rm -f $@
	$(QUIET_AR)$(AR) rcs $@ $^

$(B)/storage.a: $(call objects,$(STORAGE_SOURCES))
	@rm -f $@
	$(QUIET_AR)$(AR) rcs $@ $^

define program
$(B)/$(1): $(call objects,$(2)) $(B)/storage.a $(B)/lib.a
	@mkdir -p $$(@D)
	$$(QUIET_LD)$$(CC) $$(ALL_CFLAGS) -o $$@ $$^ $$(ALL_LIBS)
endef
$(eval $(call program,innd/innd,$(INND_SOURCES)))
$(B)/innd/innd: LIBRARY_LIBS += $(PAM_LIBS)
$(B)/tests/innd/%-t: LIBRARY_LIBS += $(PAM_LIBS)
$(eval $(call program,nnrpd/nnrpd,$(NNRPD_SOURCES)))
$(eval $(call program,feeder/feeder,$(FEEDER_SOURCES)))
$(eval $(call program,ctlinnd/ctlinnd,$(CTLINND_SOURCES)))
$(eval $(call program,expire/expire,$(EXPIRE_SOURCES)))
$(eval $(call program,expire/newsimport,$(IMPORT_SOURCES)))
$(eval $(call program,expire/newsstore,$(NEWSSTORE_SOURCES)))

$(B)/wsbridge/%.o: LIBRARY_CFLAGS += $(WEBSOCKETS_CFLAGS)
$(B)/wsbridge/wsbridge: $(call objects,$(BRIDGE_SOURCES)) $(B)/storage.a $(B)/lib.a
	@mkdir -p $(@D)
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) $(WEBSOCKETS_LIBS)

# A unit test of a process folder links that folder's objects without main.o.
without_main = $(filter-out %/main.o,$(1))

$(B)/tests/nnrpd/%-t: $(B)/tests/nnrpd/%-t.o \
    $(call without_main,$(call objects,$(NNRPD_SOURCES))) \
    $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

$(B)/tests/feeder/%-t: $(B)/tests/feeder/%-t.o \
    $(call without_main,$(call objects,$(FEEDER_SOURCES))) \
    $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

$(B)/tests/innd/%-t: $(B)/tests/innd/%-t.o \
    $(call without_main,$(call objects,$(INND_SOURCES))) \
    $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

# There expire.c has main().
$(B)/tests/expire/%-t: $(B)/tests/expire/%-t.o \
    $(filter-out %/expire.o,$(call objects,$(EXPIRE_SOURCES))) \
    $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

# fault.o defines the calls that fail: no program but these has it.
$(B)/tests/fault/%-t: $(B)/tests/fault/%-t.o $(B)/tests/fault/fault.o \
    $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka -ldl

# Of the bridge, what knows no libwebsockets.
$(B)/tests/wsbridge/%-t: $(B)/tests/wsbridge/%-t.o $(B)/wsbridge/%.o \
    $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

$(B)/tests/%-t: $(B)/tests/%-t.o $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka

# What this one reads is a worker's.
$(B)/tests/fuzz/overview_line-fuzz: $(B)/tests/fuzz/overview_line-fuzz.o \
    $(B)/nnrpd/overview_line.o $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(ALL_LIBS)

$(B)/tests/fuzz/%-fuzz: $(B)/tests/fuzz/%-fuzz.o $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(ALL_LIBS)

$(B)/tests/fuzz/handshake-fuzz: $(B)/wsbridge/handshake.o \
    $(B)/wsbridge/forwarded.o

$(B)/tests/fault/%.so: tests/fault/%.c config.h
	@mkdir -p $(@D)
	$(QUIET_LD)$(CC) -std=gnu11 -include config.h $(WARNINGS) -O2 -fPIC -shared \
	    -o $@ $< -ldl

$(B)/tests/bench/newsload: $(call objects,$(NEWSLOAD_SOURCES)) $(B)/lib.a
	@mkdir -p $(@D)
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS)

$(B)/tests/bench/newssink $(B)/tests/bench/newgroups: %: %.o $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LIBS)

$(B)/tests/bench/hotpaths: $(B)/tests/bench/hotpaths.o \
    $(call without_main,$(call objects,$(NNRPD_SOURCES))) \
    $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) -Wl,--wrap=clock_ns -o $@ $^ $(ALL_LIBS) \
	    -lcmocka

# nnrpd with one wrong answer (tests/protocol/mutant.c): its own objects, and
# each handler of the command table wrapped by the linker.
MUTANT_HANDLERS = $(shell sed -n 's/^     \(cmd_[a-z_]*\), .*/\1/p' \
    nnrpd/command.c | sort -u)
comma = ,
$(B)/tests/protocol/handlers.h: nnrpd/command.c
	@mkdir -p $(@D)
	@for handler in $(MUTANT_HANDLERS); do echo "HANDLER($$handler)"; done >$@
$(B)/tests/protocol/mutant.o: LIBRARY_CFLAGS += -I$(B)
$(B)/tests/protocol/mutant.o: $(B)/tests/protocol/handlers.h
$(B)/tests/protocol/nnrpd: $(B)/tests/protocol/mutant.o \
    $(call objects,$(NNRPD_SOURCES)) $(B)/storage.a $(B)/lib.a
	$(QUIET_LD)$(CC) $(ALL_CFLAGS) $(foreach name,$(MUTANT_HANDLERS) \
	    session_write session_reply command_print_capabilities,\
	    -Wl$(comma)--wrap=$(name)) -o $@ $^ $(ALL_LIBS)
mutants: $(B)/tests/protocol/nnrpd

units: $(UNIT_TESTS)
shims: $(SHIMS)
bench-tools: $(addprefix $(B)/tests/bench/,newsload newssink newgroups hotpaths)

# --- running and testing

run: all
	tests/run

check:
	build-aux/install-packages build check fuzz
	$(MAKE) VARIANT=strict programs shims bench-tools
	$(MAKE) VARIANT=sanitize units
	tests/check

check-long: check
	$(MAKE) VARIANT=strict mutants
	tests/check --long

sanitize:
	build-aux/install-packages build check
	$(MAKE) VARIANT=sanitize programs units
	tests/check --units-only

fuzz:
	build-aux/install-packages build fuzz
	$(MAKE) VARIANT=fuzz CC=clang fuzz-targets
	tests/fuzz/run

.PHONY: fuzz-targets
fuzz-targets: $(FUZZ_TARGETS)

bench: all bench-tools shims
	tests/bench/run $(ROW)
	$(if $(ROW),,tests/bench/durability)

lint:
	build-aux/install-packages build lint
	$(MAKE) Makefile.global
	build-aux/lint

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	build-aux/install $(B) "$(DESTDIR)" "$(prefix)" "$(sbindir)" \
	    "$(libexecdir)/renews" "$(sysconfdir)/renews" "$(mandir)" \
	    "$(datadir)/renews"

clean:
	rm -rf build

distclean: clean
	rm -rf autom4te.cache
	rm -f configure config.h config.h.in config.log config.status Makefile.global

help:
	@sed -n 's/^#   //p' Makefile
	@echo "also: sanitize fuzz lint format install clean distclean"

-include $(shell find $(B) -name '*.d' 2>/dev/null)
