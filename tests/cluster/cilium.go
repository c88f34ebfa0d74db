package main

import (
	"errors"
	"fmt"
)

// cilium is a VXLAN tunnel between the nodes whose far ends eBPF programs tell it: device cilium_vxlan, UDP port 8472. The
// programs at each pod's interface enforce policies, Cilium's own kinds too, and translate services, for which kube-proxy is
// there as well.
var cilium = plugin{
	name:     "cilium",
	programs: []string{"cilium-agent", "cilium-operator", "cilium-cni", "cilium-bpf"},
	needs:    []need{{"clang-22", "clang-22"}, {"ipset", "ipset"}},
	enforces: true,
	add: func(node *Machine, ca *authority, n int, _ plan) error {
		return addCilium(node, ca, n, "--kube-proxy-replacement=false")
	},
}

// ciliumAlone is the same without kube-proxy: connect() itself translates services, and packets go from the uplink straight
// into a pod, around the node's own network.
var ciliumAlone = plugin{
	name:          "cilium-kpr",
	programs:      cilium.programs,
	needs:         cilium.needs,
	replacesProxy: true,
	enforces:      true,
	add: func(node *Machine, ca *authority, n int, _ plan) error {
		return addCilium(node, ca, n, "--kube-proxy-replacement=true", "--enable-bpf-masquerade=true")
	},
}

// What Cilium has of a node: its eBPF programs in C, and the compiler for them, by the name that it looks for.
const (
	ciliumLibrary  = "/var/lib/cilium"
	ciliumCompiler = "/run/cilium-compiler"
)

func addCilium(node *Machine, ca *authority, n int, services ...string) error {
	cgroups, err := unified()
	if err != nil {
		return err
	}
	if _, err := ca.kubeconfig(node.Name+"-cilium", "cilium", "system:masters"); err != nil {
		return err
	}
	kubeconfig := "--k8s-kubeconfig-path=" + ca.file(node.Name+"-cilium.kubeconfig")
	node.Setup = append(node.Setup,
		fmt.Sprintf("mkdir -p %s && ln -s %s %[1]s/bpf", ciliumLibrary, built("cilium-bpf")),
		fmt.Sprintf(`mkdir -p %s && ln -s "$(command -v clang-22)" %[1]s/clang`, ciliumCompiler),
		"ln -s "+built("cilium-cni")+" "+cniPrograms+"/cilium-cni",
	)
	common := []string{
		kubeconfig,
		"--cluster-name=default",
		"--cluster-id=0",
		"--identity-allocation-mode=crd",
		"--ipam=kubernetes",
		"--enable-gops=false",
	}
	agent := append([]string{
		"sh", "-ec", `PATH="$1:$PATH"; shift; exec "$@"`, "cilium-agent", ciliumCompiler,
		"env", "K8S_NODE_NAME=" + node.Name, "CILIUM_K8S_NAMESPACE=kube-system",
		"KUBERNETES_SERVICE_HOST=" + controlPlaneAddr, "KUBERNETES_SERVICE_PORT=6443",
		built("cilium-agent"),
		"--k8s-require-ipv4-pod-cidr=true",
		"--enable-ipv4=true",
		"--enable-ipv6=false",
		"--enable-ipv4-masquerade=true",
		"--devices=eth0",
		"--routing-mode=tunnel",
		"--tunnel-protocol=vxlan",
		"--enable-l7-proxy=false",
		"--enable-hubble=false",
		"--enable-health-checking=false",
		"--enable-endpoint-health-checking=false",
		"--lib-dir=" + ciliumLibrary,
		"--state-dir=/run/cilium",
		"--socket-path=/run/cilium/cilium.sock",
		"--bpf-root=/sys/fs/bpf",
		"--cgroup-root=" + cgroups,
		// A small machine's share of memory for its maps.
		"--bpf-map-dynamic-size-ratio=0.0025",
		// With it the node becomes Ready.
		"--write-cni-conf-when-ready=/etc/cni/net.d/05-cilium.conflist",
	}, common...)
	node.Services = append(node.Services, Service{Name: "cilium-agent", Argv: append(agent, services...), After: apiReady})
	if n == 1 {
		// One for the cluster: it also tells the API server of Cilium's kinds.
		operator := append([]string{built("cilium-operator")}, common...)
		node.Services = append(node.Services, Service{Name: "cilium-operator", Argv: operator, After: apiReady})
	}
	return nil
}

// unified is where the v2 hierarchy of cgroups is: a node's own, to which Cilium attaches programs.
func unified() (string, error) {
	all, err := hierarchies()
	if err != nil {
		return "", err
	}
	for _, h := range all {
		if h.kind == "cgroup2" {
			return h.path, nil
		}
	}
	return "", errors.New("Cilium needs cgroups v2: mount them below /sys/fs/cgroup (`mount -t cgroup2 none /sys/fs/cgroup/unified`)")
}
