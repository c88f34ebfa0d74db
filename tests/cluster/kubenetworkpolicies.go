package main

import (
	_ "embed"
	"fmt"
)

//go:embed kube-network-policies.yaml
var kubeNetworkPoliciesManifest string

// kubeNetworkPolicies enforces policies beside a network that does not, and asks a program about the first packet of each
// connection: the packet waits in a queue for the answer. It also knows the policies of admins. It runs as its own daemon set.
var kubeNetworkPolicies = plugin{
	name:      "kube-network-policies",
	programs:  []string{"kube-network-policies"},
	image:     "kube-network-policies.tar",
	manifest:  kubeNetworkPoliciesManifest,
	daemonSet: "kube-network-policies",
	kinds:     "kube-network-policies-kinds.yaml",
	add:       addKubeNetworkPolicies,
}

// policyQueue is the queue in which it listens.
const policyQueue = 98

// queueRules put packets into that queue. It writes such rules itself, for nftables' `queue`; where a kernel lacks that, it
// says so in its log and listens all the same, so that these do instead. They are there once somebody listens, and stay.
var queueRules = fmt.Sprintf(`until grep -q "^ *%[1]d " /proc/net/netfilter/nfnetlink_queue; do sleep 0.1; done
nft list table inet kube-network-policies 2>/dev/null | grep -q "queue.* %[1]d" && exit
for side in -s -d; do iptables -w -t mangle -A POSTROUTING $side %[2]s -m conntrack --ctstate NEW -j NFQUEUE --queue-num %[1]d; done`,
	policyQueue, podNetwork)

func addKubeNetworkPolicies(node *Machine, _ *authority, _ int, _ plan) error {
	node.Services = append(node.Services, Service{Name: "policy-queue", Argv: []string{"sh", "-ec", queueRules}, Once: true})
	return nil
}
