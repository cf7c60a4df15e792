# Each target installs by itself what it needs beyond Rust.

.PHONY: demo test bench fuzz man install ci

demo:
	@scripts/setup demo
	@cargo build --quiet --package knockgate --package knock
	@scripts/demo

test:
	@scripts/setup test
	@scripts/test

# PART="packets floods" measures these alone; QUICK=1 takes less than three minutes. Only a run of
# everything that is not quick, or one with WRITE=1, writes docs/benchmarks.md and its pictures.
bench:
	@scripts/setup bench
	@cargo build --quiet --release --package knockgate --package knockgate-bench
	@target/release/bench $(if $(QUICK),--quick) $(if $(PART),$(PART),$(if $(WRITE)$(if $(QUICK),,1),--write docs))

fuzz:
	@cargo run --quiet --profile fuzz --package knockgate-fuzz

# Both programs are built before a page is overwritten.
man:
	@cargo build --quiet --package knockgate --package knock
	@cargo run --quiet --package knockgate -- man > docs/man/knockgate.1
	@cargo run --quiet --package knock -- --man > docs/man/knock.1

# What `cargo build --release` has built, so that root runs no cargo. PREFIX and DESTDIR say where to.
install:
	@scripts/install

ci:
	@.ci/run
