package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// plugin is what gives pods their network, or what enforces policies: what of it was built, and what of it a node has.
type plugin struct {
	name string
	// What was built for it, in target/cluster/plugins.
	programs []string
	// What the distribution must have for it.
	needs []need
	// The router knows where pods are: their addresses are not hidden in a tunnel.
	routesPods bool
	// It serves services itself: no node has kube-proxy.
	replacesProxy bool
	// It enforces policies itself: no engine can stand beside it.
	enforces bool
	// The archive of its image, beside the programs.
	image string
	// The file of its kinds of objects, beside the programs: without them no node becomes Ready.
	kinds string
	// What the API server is told of it, and the daemon set among that.
	manifest, daemonSet string
	// Its files, its commands and its services, on node n.
	add func(node *Machine, ca *authority, n int, p plan) error
}

// networks are what can give pods their network: `--cni`.
var networks = byName(bridge, flannel, calico, cilium, ciliumAlone)

// engines are what can enforce policies beside a network that does not: `--policies`.
var engines = byName(nobody, kubeRouter, kubeNetworkPolicies)

// nobody leaves policies unenforced.
var nobody = plugin{
	name: "none",
	add:  func(*Machine, *authority, int, plan) error { return nil },
}

func byName(all ...plugin) map[string]plugin {
	named := map[string]plugin{}
	for _, one := range all {
		named[one.name] = one
	}
	return named
}

// mixed is both kinds of rules in which kube-proxy writes services, from node to node in turn.
const mixed = "mixed"

// proxyModes are the kinds of rules that the nodes' kube-proxies can write: `--kube-proxy`.
var proxyModes = []string{mixed, "iptables", "nftables"}

// plan is what a cluster is to be.
type plan struct {
	nodes                    int
	network, policies, proxy string
}

// readPlan understands what `arguments` wrote, or a user.
func readPlan(words []string) (plan, error) {
	if len(words) != 4 {
		return plan{}, usageError{"a cluster is a number of nodes, a network, a policy engine and a mode of kube-proxy"}
	}
	nodes, err := strconv.Atoi(words[0])
	if err != nil || nodes < 1 || nodes > maxNodes {
		return plan{}, usageError{fmt.Sprintf("--nodes must be 1 to %d", maxNodes)}
	}
	network, known := networks[words[1]]
	if !known {
		return plan{}, usageError{fmt.Sprintf("no network %q (they are %s)", words[1], names(networks))}
	}
	if _, known := engines[words[2]]; !known {
		return plan{}, usageError{fmt.Sprintf("no policy engine %q (they are %s)", words[2], names(engines))}
	}
	if network.enforces && words[2] != nobody.name {
		return plan{}, usageError{fmt.Sprintf("%s enforces policies itself, and %s would too: leave --policies away, or take bridge or flannel", words[1], words[2])}
	}
	if !slices.Contains(proxyModes, words[3]) {
		return plan{}, usageError{fmt.Sprintf("kube-proxy has no mode %q (they are %s)", words[3], strings.Join(proxyModes, ", "))}
	}
	if network.replacesProxy && words[3] != mixed {
		return plan{}, usageError{fmt.Sprintf("%s has no kube-proxy: leave --kube-proxy away", words[1])}
	}
	return plan{nodes, words[1], words[2], words[3]}, nil
}

func names(of map[string]plugin) string { return strings.Join(slices.Sorted(maps.Keys(of)), ", ") }

func (p plan) arguments() []string {
	return []string{strconv.Itoa(p.nodes), p.network, p.policies, p.proxy}
}

func (p plan) plugins() []plugin { return []plugin{networks[p.network], engines[p.policies]} }

func (p plan) routesPods() bool { return networks[p.network].routesPods }

func (p plan) replacesProxy() bool { return networks[p.network].replacesProxy }

// proxyMode is the kind of rules on node n: of kube-proxy, and of what writes rules beside it.
func (p plan) proxyMode(n int) string {
	switch {
	case p.proxy != mixed:
		return p.proxy
	case n%2 == 1:
		return "iptables"
	}
	return "nftables"
}

func (p plan) String() string {
	text := fmt.Sprintf("%d nodes, network %s", p.nodes, p.network)
	if p.policies != nobody.name {
		text += ", policies enforced by " + p.policies
	}
	if p.proxy != mixed {
		text += ", kube-proxy with " + p.proxy
	}
	return text
}

// asMakeSaysIt is what to give to `make` for this network and these policies.
func (p plan) asMakeSaysIt() string { return "CNI=" + p.network + " POLICIES=" + p.policies }

// built is a plugin's program.
func built(program string) string { return filepath.Join(home(), "plugins", program) }

// write writes a plugin's file for a node, and returns where.
func (m *Machine) write(file, text string) (string, error) {
	path := inRun(m.Name, file)
	return path, os.WriteFile(path, []byte(text), 0o644)
}
