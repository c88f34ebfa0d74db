# The doors of this repository. `make` alone says what there is.
.DEFAULT_GOAL := help
MACHINE := $(shell uname -m)
ARCH := $(shell uname -m | tr a-z A-Z)
TARGET := $(MACHINE)-unknown-linux-gnu
CARGO := .ci/cargo
# Namespaces and eBPF want root: what cargo runs (tests, scenarios) is run with it, what it compiles is not.
ifneq ($(shell id -u),0)
AS_ROOT := sudo -E
export CARGO_TARGET_$(ARCH)_UNKNOWN_LINUX_GNU_RUNNER := $(AS_ROOT)
endif

# Whose nodes helpers are built for, in the image and in the client: this machine's kind, or `ARCHES='x86_64 aarch64'`.
ARCHES ?= $(MACHINE)
helper_of = $(CURDIR)/target/$(1)-unknown-linux-gnu/helper/node-helper
HELPER := $(call helper_of,$(MACHINE))
CLIENT := $(CURDIR)/target/release/kubectl-skoop
# The client that scenarios and tests drive.
export SKOOP_BIN = $(CLIENT)
# The helper by itself, for scenarios in which it dies or lacks something.
export SKOOP_HELPER = $(HELPER)

.PHONY: help
help: ## what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: ## install what is missing (Debian 12); quick when all is there
	@./setup.sh build test

.PHONY: build
build: setup ## the client with the helper inside: target/release/kubectl-skoop
	@[ '$(ARCHES)' = $(MACHINE) ] || ./setup.sh arm64
	@for arch in $(ARCHES); do .ci/cross $$arch build -p node-helper --profile helper || exit 1; done
	$(foreach arch,$(ARCHES),SKOOP_HELPER_$(shell echo $(arch) | tr a-z A-Z)=$(call helper_of,$(arch))) $(CARGO) build -p cli --release

# Its name; a client means it where no other is named.
IMAGE := ghcr.io/kubectl-skoop/node-helper:v$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

.PHONY: image
image: build ## the helper's image as an OCI archive, for ctr, podman or skopeo: target/node-helper.tar
	$(CARGO) run -q -p image -- target/node-helper.tar $(IMAGE) $(foreach arch,$(ARCHES),$(arch)=$(call helper_of,$(arch)))
	@echo "target/node-helper.tar holds $(IMAGE), $$(cat target/node-helper.digest); load it onto a node with: ctr -n k8s.io images import target/node-helper.tar"

.PHONY: release
release: image ## a client that starts the image IMAGE=NAME:TAG by the digest it has in target/node-helper.tar, and no other
	@SKOOP_IMAGE="$(IMAGE)@$$(cat target/node-helper.digest)" $(MAKE) --no-print-directory build
	@echo "$(CLIENT) starts $(IMAGE)@$$(cat target/node-helper.digest)"

.PHONY: demo
demo: build ## break something in namespaces of its own, find it with the real tool, clean up
	@$(CARGO) run -q -p tests --bin demo

.PHONY: test
test: build ## all tests, then the scenarios
	@$(CARGO) test --workspace --no-fail-fast; tests=$$?; $(MAKE) --no-print-directory scenarios && exit $$tests

# What is asked about one end. `races` is asked for by name: there an answer may depend on how fast a machine is.
ONE_END ?= faults|healthy|thin

# The servers that tests export to: prometheus, victoria-logs, collector.
SERVERS ?= prometheus victoria-logs collector

.PHONY: observability-parts
observability-parts:
	@./setup.sh observability
	@tests/observability/build $(SERVERS)

.PHONY: observability
observability: build observability-parts ## that what `export` sends arrives, in real ones of SERVERS='prometheus victoria-logs collector'
	@$(CARGO) test --workspace --test observability

.PHONY: dashboards
dashboards: ## that deploy/grafana is as Grafana's published types and LogQL's grammar (npm) say
	@./setup.sh dashboards
	@mkdir -p target/dashboards && cp deploy/grafana/check/* target/dashboards/
	@cd target/dashboards && npm ci --no-audit --no-fund --loglevel=error && node check.mjs $(CURDIR)/deploy/grafana

.PHONY: scenarios
scenarios: build ## every fault and every healthy control of the lab, two at once; also target/scenarios*.json
	@$(CARGO) run -p tests --bin scenario -- tests/scenarios --only '^(faults|healthy|thin)/' --jobs 2 --json target/scenarios.json; two_ends=$$?; \
		$(CARGO) run -p tests --bin scenario -- tests/scenarios --only '^one-end/($(ONE_END))/' --jobs 2 --json target/scenarios-one-end.json && exit $$two_ends

# How long each target.
SECONDS = 15

.PHONY: fuzz
fuzz: setup ## readers of foreign bytes against made-up ones, SECONDS=15 each; what breaks one is shown
	@./setup.sh fuzz
	@fuzz/run $(SECONDS)

.PHONY: kernels
kernels: build ## the same checks on this kernel and on Debian's 6.1 and 6.12 in QEMU, with ARCHES='x86_64 aarch64' on one for arm64 too
	@./setup.sh kernels
	$(CARGO) build -p tests --bin kernel-check
	$(if $(filter aarch64,$(ARCHES)),.ci/cross aarch64 build -p node-helper -p tests --bin node-helper --bin kernel-check)
	$(AS_ROOT) tests/kernels/run 6.1-amd64 6.12-amd64 $(if $(filter aarch64,$(ARCHES)),6.12-arm64)

.PHONY: bench
bench: build ## the figures of tests/bench/README.md; also target/bench.json
	@./setup.sh bench
	@[ -s target/scenarios.json ] || $(MAKE) --no-print-directory scenarios
	$(CARGO) run --release -p tests --bin bench -- target/bench.json

# How many nodes, which network they have (bridge, flannel, calico, cilium, cilium-kpr), who enforces policies (none, kube-router, kube-network-policies),
# and which rules their kube-proxies write (mixed, iptables, nftables).
NODES = 2
CNI ?= bridge
POLICIES ?= none
KUBEPROXY ?= mixed
export CNI POLICIES KUBEPROXY
CLUSTER := $(CURDIR)/target/cluster/cluster

.PHONY: cluster-parts
cluster-parts: image
	@./setup.sh cluster $(filter cilium,$(CNI:cilium-kpr=cilium))
	@.ci/cross $(MACHINE) build -q -p tests --bin lab --release
	@tests/cluster/build target/$(TARGET)/release/lab target/node-helper.tar

.PHONY: cluster
cluster: cluster-parts ## a real Kubernetes of NODES=2 nodes on this machine, with the network CNI=bridge, flannel, calico, cilium or cilium-kpr, POLICIES=none, kube-router or kube-network-policies, and KUBEPROXY=mixed, iptables or nftables
	@$(AS_ROOT) $(CLUSTER) up --nodes $(NODES) --cni $(CNI) --policies $(POLICIES) --kube-proxy $(KUBEPROXY)

.PHONY: cluster-test
cluster-test: cluster-parts ## that nothing of a cluster stays, however it ends; beside one that is up
	@cd tests/cluster && CGO_ENABLED=0 ./go test -c -o $(CLUSTER).test . && $(AS_ROOT) $(CLUSTER).test -test.timeout 15m

.PHONY: cluster-down
cluster-down: ## take it down: nothing of it stays
	@[ ! -x $(CLUSTER) ] || $(AS_ROOT) $(CLUSTER) down

.PHONY: e2e
e2e: image ## on a real Kubernetes (KUBECONFIG, else one of its own): its scenarios (CNI=flannel: those that fit), that nothing stays, and its rules; also target/e2e.json
	@AS_ROOT='$(AS_ROOT)' tests/on-cluster target/node-helper.tar '\
		$(CARGO) run -p tests --bin scenario -- tests/scenarios/kubernetes --json target/e2e.json; scenarios=$$?; \
		$(CARGO) test -p tests --test nothing_stays --test rbac --test kubeconfig --test attribution --test numbers --no-fail-fast -- --test-threads=1 --nocapture; tests=$$?; \
		tests/rules-of-nodes && [ $$tests = 0 ] && exit $$scenarios'

# What a cluster has beside the bridge and nobody who enforces policies.
OWN = $(if $(filter none,$(POLICIES)),$(CNI),$(POLICIES))

.PHONY: e2e-own
e2e-own: image ## only the scenarios that a network (CNI=flannel) or a policy engine (POLICIES=...) has for itself, and pairs of pods against its policies; also target/e2e-*.json
	@AS_ROOT='$(AS_ROOT)' tests/on-cluster target/node-helper.tar '\
		$(CARGO) run -p tests --bin scenario -- tests/scenarios/kubernetes --own $(OWN) --json target/e2e-$(OWN).json; scenarios=$$?; \
		$(CARGO) test -p tests --test policy_pairs -- --nocapture && exit $$scenarios'

.PHONY: bench-cluster
bench-cluster: image ## thirty runs on a cluster, stage by stage: the figures of tests/bench/README.md; also target/bench-cluster.json
	@AS_ROOT='$(AS_ROOT)' tests/on-cluster target/node-helper.tar \
		'$(CARGO) build -q --release -p tests --bin lab && $(CARGO) run --release -p tests --bin bench -- target/bench-cluster.json cluster capture'

.PHONY: lint
lint: setup ## formatting, clippy on both sides, vet, and cargo-deny where it is installed
	@./setup.sh lint
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path node-helper-ebpf/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if [ -x /usr/bin/cargo-clippy ]; then cd node-helper-ebpf && PATH=/usr/bin:$$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo clippy \
		--release -Z build-std=core --target bpfel-unknown-none --target-dir ../target/bpf -- -D warnings; \
	else echo 'lint: the system has no clippy (Debian: rust-web-clippy); the kernel side was not checked'; fi
	@if command -v cargo-deny >/dev/null; then for manifest in Cargo.toml fuzz/Cargo.toml node-helper-ebpf/Cargo.toml; do \
		$(CARGO) deny --manifest-path $$manifest --config $(CURDIR)/deny.toml check -A duplicate -A license-not-encountered \
			-A license-exception-not-encountered bans licenses sources || exit 1; done; \
	else echo 'lint: cargo-deny is not installed; deny.toml was not checked'; fi
	@cd tests/cluster && unformatted=$$("$$(./go env GOROOT)/bin/gofmt" -l . ../observability) && \
		{ test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }; } && ./go vet . ./pause

.PHONY: docs
docs: setup ## the documentation of the crates, without a warning
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --workspace --no-deps --document-private-items

.PHONY: clean-lab
clean-lab: ## take down every lab that still stands, kept ones too
	@for lab in /run/skoop-lab/lab-*; do [ ! -d "$$lab" ] || $(CARGO) run -q -p tests --bin lab -- down "$${lab##*/}"; done
