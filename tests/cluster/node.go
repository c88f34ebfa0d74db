package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  # Not every host lets root lower these, and none has a profile of ours.
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "` + cniPrograms + `"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.` + dualStack + `]
    runtime_type = "io.containerd.runc.v2"
    cni_conf_dir = "/etc/cni/` + dualStack + `"
`

// cniPrograms has links to the distribution's network plugins, and to those that were built here.
const cniPrograms = "/run/cni-bin"

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]s}
authorization: {mode: Webhook}
tlsCertFile: %[2]s
tlsPrivateKeyFile: %[3]s
clusterDNS: [` + dnsAddr + `]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: /etc/resolv.conf
cgroupDriver: cgroupfs
failCgroupV1: false
enforceNodeAllocatable: [pods]
failSwapOn: false
localStorageCapacityIsolation: false
oomScoreAdj: 0
syncFrequency: 10s
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 12
imageMaximumGCAge: 0s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "1Mi", nodefs.available: "0%%", imagefs.available: "0%%"}
volumePluginDir: /var/lib/kubelet/plugins-exec
logging: {verbosity: 2}
`

// apiReady is what a service waits for that needs the API server.
const apiReady = "https://" + controlPlaneAddr + ":6443/readyz"

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: %s
bindAddress: 0.0.0.0
hostnameOverride: %s
clientConnection: {kubeconfig: %s}
clusterCIDR: ` + podNetwork + `,` + podNetwork6 + `
oomScoreAdj: 0
# These settings are the whole host's: left alone.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

// nodeMachine is a node: containerd, the images, kubelet, kube-proxy, and what the network and the policies add.
func nodeMachine(ca *authority, n int, p plan) (Machine, error) {
	name := nodeName(n)
	if _, _, err := ca.issue(name+"-server", "system:node:"+name, "system:nodes", name, nodeAddr(n), "127.0.0.1", "localhost"); err != nil {
		return Machine{}, err
	}
	if _, err := ca.kubeconfig(name, "system:node:"+name, "system:nodes"); err != nil {
		return Machine{}, err
	}
	if _, err := ca.kubeconfig(name+"-proxy", "system:kube-proxy", ""); err != nil {
		return Machine{}, err
	}
	files := map[string]string{
		"containerd.toml": containerdConfig,
		"kubelet.yaml":    fmt.Sprintf(kubeletConfig, ca.file("ca.crt"), ca.file(name+"-server.crt"), ca.file(name+"-server.key")),
		"kube-proxy.yaml": fmt.Sprintf(proxyConfig, p.proxyMode(n), name, ca.file(name+"-proxy.kubeconfig")),
	}
	for file, text := range files {
		if err := os.WriteFile(inRun(name, file), []byte(text), 0o644); err != nil {
			return Machine{}, err
		}
	}
	setup := append(machineNetwork(nodeAddr(n)), nodeNetwork6(n, p.nodes)...)
	setup = append(setup,
		"sysctl -qw net.ipv4.ip_forward=1",
		"sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 || modprobe br_netfilter && sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
		"mkdir -p /etc/cni/net.d "+cniPrograms+" && ln -s /usr/lib/cni/* "+cniPrograms,
	)
	archives := ownImages()
	for _, plugin := range p.plugins() {
		if plugin.image != "" {
			archives = append(archives, built(plugin.image))
		}
	}
	kubernetes := filepath.Join(home(), "kubernetes")
	const socket = "/run/containerd/containerd.sock"
	node := Machine{
		Name:  name,
		Setup: setup,
		Services: []Service{
			{Name: "containerd", Argv: []string{"containerd", "--config", inRun(name, "containerd.toml")}},
			{Name: "images", Argv: append([]string{"sh", "-c", `for archive; do ctr -n k8s.io images import "$archive" || exit 1; done`, "images"}, archives...), After: socket, Once: true},
			{Name: "kubelet", Argv: []string{
				kubernetes, "kubelet",
				"--config=" + inRun(name, "kubelet.yaml"),
				"--kubeconfig=" + ca.file(name+".kubeconfig"),
				"--hostname-override=" + name,
				"--node-ip=" + nodeAddr(n) + "," + nodeAddr6(n),
				"--root-dir=/var/lib/kubelet",
				"--cert-dir=/var/lib/kubelet/pki",
			}, After: socket},
		},
	}
	if !p.replacesProxy() {
		node.Services = append(node.Services, Service{Name: "kube-proxy", Argv: []string{kubernetes, "kube-proxy", "--config=" + inRun(name, "kube-proxy.yaml")}, After: apiReady})
	}
	for _, plugin := range p.plugins() {
		if err := plugin.add(&node, ca, n, p); err != nil {
			return Machine{}, fmt.Errorf("%s on %s: %w", plugin.name, name, err)
		}
	}
	return node, nil
}
