# Builds and installs the extension (PGXS). `make demo` and `make check` do all of
# their set-up themselves; see README.md. Elsewhere than in the sources it builds by
# `make -f …/Makefile`.
S := $(filter-out ./,$(dir $(firstword $(MAKEFILE_LIST))))
in_sources = $(patsubst $(S)%,%,$(wildcard $(addprefix $(S),$(1))))

EXTENSION = fraud_detect
EXTVERSION = 1.0
MODULE_big = fraud_detect
SOURCES = $(call in_sources,$(foreach floor,core pg worker,src/$(floor)/*.cpp src/$(floor)/*/*.cpp))
OBJS = $(SOURCES:.cpp=.o)
SCRIPT = sql/$(EXTENSION)--$(EXTVERSION).sql
# The version after it, while src/next has what it brings, and the steps from version to version
# (docs/decisions.md, Versions).
NEXTVERSION = 1.1
NEXT_SCRIPT = $(if $(wildcard $(S)src/next/*.sql),sql/$(EXTENSION)--$(NEXTVERSION).sql)
UPDATES = $(patsubst src/upgrade/%,sql/$(EXTENSION)--%,$(call in_sources,src/upgrade/*--*.sql))
DATA_built = $(SCRIPT) $(NEXT_SCRIPT) $(UPDATES)
EXTRA_CLEAN = $(SOURCES:.cpp=.d) $(TRAINER) $(TRAINER_SOURCES:.cpp=.o) $(TRAINER_SOURCES:.cpp=.d) \
    tools/simulate.o tools/simulate.d precompiled build results

# The training program, which alone needs XGBoost. Without its header the rest is
# built, and fraud.train says what is missing.
TRAINER = fraud_detect_train
TRAINER_SOURCES = $(call in_sources,src/train/*.cpp)
WITH_TRAINING ?= $(if $(wildcard /usr/include/xgboost/c_api.h /usr/local/include/xgboost/c_api.h),yes,no)

# Bitcode lets the JIT inline functions; ours are far too large for that.
override with_llvm = no

PG_CPPFLAGS = -I$(S)src -MMD -MP
# -ffp-contract=off: no fused multiply-add, or features and scores would differ in
# the last bit from one machine to the next. -Wno-register: PostgreSQL's headers.
# WARNINGS=-Werror: test/guards/test_servers.py.
# Symbols, which installing strips, would be a quarter of the time: SYMBOLS=-g makes them.
SYMBOLS ?= -g0
PG_CXXFLAGS = -std=c++17 -O2 $(SYMBOLS) -ffp-contract=off -Wno-register -fvisibility-inlines-hidden $(WARNINGS)
SHLIB_LINK = -lcurl -lcsv -lstdc++ -lpthread -Wl,--version-script=$(S)src/pg/server/exports.map
# Without symbols, which are twenty times the rest: INSTALL_STRIP_FLAG= leaves them in.
INSTALL_STRIP_FLAG ?= -s

# make installcheck: the tests of sql/ in a database contrib_regression of a running server that
# preloads the library, has max_worker_processes = 32 and test/regress.conf's settings of fraud_detect,
# as a superuser. (make check runs them, and all others, on a server of its own.)
REGRESS = $(shell cat $(S)test/regress_schedule)
REGRESS_OPTS = --encoding=UTF8 --no-locale
# Some read files of test/ by the present folder.
REGRESS_PREP = $(if $(S),link-tests)

# Targets that set everything up themselves must work before there is a
# pg_config; the rest is PGXS.
SELF_CONTAINED = demo demo-stop dashboard desk screenshots check check-all kill nightly pgtap bench deps model study docs dist package package-check help
ifeq ($(filter $(SELF_CONTAINED),$(MAKECMDGOALS)),)
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS) $(TRAINER_SOURCES:.cpp=.o) tools/simulate.o: $(S)Makefile
# Elsewhere there are no folders yet; as prerequisites make would find those of the sources.
$(if $(S),$(shell mkdir -p sql tools $(sort $(dir $(OBJS) $(TRAINER_SOURCES)))))
ifeq ($(WITH_TRAINING),yes)
all: $(TRAINER)
$(TRAINER): $(TRAINER_SOURCES:.cpp=.o)
	$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ -lxgboost
install: install-trainer
install-trainer: $(TRAINER) installdirs
	$(MKDIR_P) '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) $(TRAINER) '$(DESTDIR)$(pkglibdir)/'
	$(INSTALL_DATA) $(S)docs/man/$(TRAINER).1 '$(DESTDIR)$(mandir)/man1/'
uninstall: uninstall-trainer
uninstall-trainer:
	rm -f '$(DESTDIR)$(pkglibdir)/$(TRAINER)' '$(DESTDIR)$(mandir)/man1/$(TRAINER).1'
.PHONY: install-trainer uninstall-trainer
endif
# The simulator on the command line, of the objects that are there anyway (make demo).
build/simulate: tools/simulate.o $(filter src/core/%,$(OBJS))
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ -lcsv
# PCH=yes: what most files include is read once for all of them (make demo, make check). Without
# it each file is compiled by itself, which ccache can keep. A folder that was built so stays so,
# since what an object was made of is then known of the precompiled header alone.
PRECOMPILED = precompiled/core.h.gch precompiled/server.h.gch
PCH ?= $(if $(wildcard precompiled/server.h.gch),yes)
ifeq ($(PCH),yes)
WITH_CORE_PCH = $(filter src/core/%,$(OBJS))
# The network client knows nothing of Postgres.
WITH_SERVER_PCH = $(filter-out src/core/% src/worker/network/%,$(OBJS))
$(WITH_CORE_PCH): private CPPFLAGS += -include precompiled/core.h
$(WITH_SERVER_PCH): private CPPFLAGS += -include precompiled/server.h
$(WITH_CORE_PCH): precompiled/core.h.gch
$(WITH_SERVER_PCH): precompiled/server.h.gch
precompiled/core.h.gch: CPPFLAGS += -DFRAUD_CORE
$(PRECOMPILED): precompiled/%.gch: $(S)tools/precompiled/% $(S)Makefile
	@mkdir -p $(@D) && cp $< precompiled/$*
	$(COMPILE.cc) -x c++-header -MF $@.d -MT $@ -o $@ precompiled/$*
-include $(PRECOMPILED:=.d)
endif
# The tests of test/t, or PROVE_TESTS, of what is installed, on servers that they start themselves; as any
# user but root. (make check builds the programs of CMake that three of them need.)
PROVE_TESTS ?= $(S)test/t/*.pl
prove_installcheck: export PERL5LIB := $(abspath $(S)test/t):$(PERL5LIB)
prove_installcheck: export FRAUD_TREE := $(abspath $(S).)
prove_installcheck: export PG_BIN := $(bindir)
prove_installcheck: build/simulate
	$(prove_installcheck)
.PHONY: prove_installcheck
link-tests:
	ln -sfn $(abspath $(S)test) test
.PHONY: link-tests
src/core/%.o: CPPFLAGS += -DFRAUD_CORE
$(shlib): $(S)src/pg/server/exports.map
-include $(SOURCES:.cpp=.d) $(TRAINER_SOURCES:.cpp=.d) tools/simulate.d

# The install script: the topic files in order, with the shipped model inside.
$(SCRIPT): $(S)src/sql $(sort $(wildcard $(S)src/sql/*)) $(S)models/payments.ubj $(S)models/payments.md $(S)tools/build-script
	@mkdir -p $(@D)
	$(S)tools/build-script > $@.new && mv $@.new $@
$(NEXT_SCRIPT): $(SCRIPT) $(wildcard $(S)src/next/*.sql)
	$(S)tools/build-script next > $@.new && mv $@.new $@
# Versions that were released are kept as they were.
RELEASED = $(patsubst src/released/%.xz,sql/%,$(call in_sources,src/released/*.xz))
$(RELEASED): sql/%: $(S)src/released/%.xz
	@mkdir -p $(@D)
	xz -dc $< > $@.new && mv $@.new $@
$(UPDATES): sql/$(EXTENSION)--%.sql: $(S)src/upgrade/%.sql $(SCRIPT) $(NEXT_SCRIPT) $(RELEASED) $(S)tools/build-update
	$(S)tools/build-update $(foreach version,$(subst --, ,$*),sql/$(EXTENSION)--$(version).sql) $< > $@.new && mv $@.new $@
else
.PHONY: demo demo-stop dashboard desk screenshots check check-all kill pgtap bench deps model study docs dist package package-check help

help:
	@echo 'make demo         install what is needed, build, and show the whole system at work'
	@echo 'make demo-stop    stop what make demo left running'
	@echo 'make dashboard    Apache Superset with dashboards on the demo'
	@echo 'make desk         the analysts'"'"' desk on the demo'
	@echo 'make screenshots  pictures of these, for docs/images'
	@echo 'make check        install what is needed, build, and run every test'
	@echo 'make check-all    the extension'"'"'s tests on each PostgreSQL that can be had, 15 to 18: as root, for hours'
	@echo 'make kill         kill processes of a server under load, KILLS=500 times from SEED on, and look for what is lost'
	@echo 'make nightly      pg_regress without caches, on a PostgreSQL with assertions that is built for it, or of PG_BIN'
	@echo 'make pgtap        hold the catalog of a server of yours against the contract: PGDATABASE=…'
	@echo 'make bench        install what is needed, build, and measure, beside XGBoost and others'
	@echo 'make              build the extension; sudo make install installs it'
	@echo 'make model        train the shipped model anew (models/)'
	@echo 'make dist         the sources as PGXN takes them, of the last commit'
	@echo 'make package      Debian packages of the last commit, in build/package'
	@echo 'make package-check  install these in a minimal Debian of their own, score and train there'
	@echo 'make installcheck the tests of sql/ against a running server, after sudo make install'
	@echo 'make docs         the book, as HTML with search (docs/index.md)'
	@echo 'make study        write docs/study.md anew; CSV=/path/fraudTrain.csv for payments of your own'

deps:
	@tools/install-packages

demo:
	@tools/demo

demo-stop:
	@tools/demo-stop

dashboard:
	@tools/dashboard

desk:
	@tools/desk

screenshots:
	@tools/screenshots

check:
	@test/run-all

check-all:
	@test/versions/run

kill:
	@test/kill/run

nightly:
	@tools/nightly

pgtap:
	@test/pgtap/run

bench:
	@bench/run

study:
	@tools/study $(CSV)

model:
	@tools/model

docs:
	@tools/docs
endif

dist:
	@tools/dist

package:
	@tools/package

package-check:
	@test/package/run
