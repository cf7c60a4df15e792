# Each target installs by itself what it needs beyond Rust.

.PHONY: demo test bench fuzz ci

demo:
	@scripts/setup demo
	@cargo build --quiet --package knockgate --package knock
	@scripts/demo

test:
	@scripts/setup test
	@scripts/test

bench:
	@scripts/setup test
	@cargo build --quiet --release --package knockgate-bench
	@target/release/bench

fuzz:
	@cargo run --quiet --profile fuzz --package knockgate-fuzz

ci:
	@.ci/run
