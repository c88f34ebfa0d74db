package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What the cluster is called wherever the machine can see it: its run folder, cgroups, processes and network interface
// all carry this, and nothing else of it shows in the machine's own namespaces.
const prefix = "skoop-cluster"

// runFolder holds what lives as long as the cluster: sockets, keys, configuration, logs.
const runFolder = "/run/" + prefix

// The machines that are no nodes.
const (
	controlPlane = "control-plane"
	router       = "router"
)

// Addresses. The router stands between all machines and answers their ARP for one another, so that they see one
// network and yet every packet between two of them is routed.
const (
	network          = "10.200.0.0/24"
	controlPlaneAddr = "10.200.0.1"
	hostAddr         = "10.200.0.2"
	gatewayAddr      = "10.200.0.254"
	podNetwork       = "10.244.0.0/16"
	serviceNetwork   = "10.96.0.0/16"
	kubernetesAddr   = "10.96.0.1"
	dnsAddr          = "10.96.0.10"
	// The world outside: behind the default gateway, on the router.
	outsideAddr  = "203.0.113.10"
	resolverAddr = "203.0.113.53"
)

// The same for IPv6, which nodes have, and pods of runtime class `dual-stack`. The router's ends are link-local: one that
// forwards, and one that is the default gateway.
const (
	network6   = "fd00:200::/64"
	forwarder6 = "fe80::fe"
	gateway6   = "fe80::fd"
	// What the router calls itself in ICMPv6: a link-local address is not forwarded.
	router6         = "fd00:200::fe"
	podNetwork6     = "fd00:244::/48"
	serviceNetwork6 = "fd00:96::/112"
)

// maxNodes keeps node and pod addresses inside their networks.
const maxNodes = 9

func nodeName(n int) string   { return fmt.Sprintf("n%d", n) }
func nodeAddr(n int) string   { return fmt.Sprintf("10.200.0.%d", 10+n) }
func podRange(n int) string   { return fmt.Sprintf("10.244.%d.0/24", n) }
func podGateway(n int) string { return fmt.Sprintf("10.244.%d.1", n) }
func nodeAddr6(n int) string  { return fmt.Sprintf("fd00:200::%d", 10+n) }
func podRange6(n int) string  { return fmt.Sprintf("fd00:244:0:%d::/64", n) }

// machineName reads what a user calls a machine: `n1`, `1`, `control-plane`, `router`.
func machineName(word string) (string, error) {
	if word == controlPlane || word == router {
		return word, nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(word, "n"))
	if err != nil || n < 1 || n > maxNodes {
		return "", usageError{fmt.Sprintf("no machine %q: nodes are n1, n2...; the others are %s and %s", word, controlPlane, router)}
	}
	return nodeName(n), nil
}

func inRun(parts ...string) string { return filepath.Join(append([]string{runFolder}, parts...)...) }

func socketOf(machine string) string { return inRun(machine + ".sock") }

// home is where this program and all it needs were built: target/cluster.
func home() string {
	path, err := os.Executable()
	if err != nil {
		return "."
	}
	return filepath.Dir(path)
}

func kubeconfig() string { return filepath.Join(home(), "kubeconfig") }
