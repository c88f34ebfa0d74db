package main

import (
	"os"
	"path/filepath"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// auditLog has a line for each request to the API server, with who asked.
var auditLog = inRun(controlPlane, "audit.log")

// controlPlaneMachine is etcd, the API server, the controllers and the scheduler on a machine of their own.
func controlPlaneMachine(ca *authority) (Machine, error) {
	policy := inRun(controlPlane, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return Machine{}, err
	}
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1", controlPlaneAddr, kubernetesAddr}
	issued := []struct {
		name, user, group string
		hosts             []string
	}{
		{"apiserver", "kube-apiserver", "", names},
		{"apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters", nil},
		{"service-accounts", "service-accounts", "", nil},
		{"front-proxy", "front-proxy-client", "", nil},
	}
	for _, one := range issued {
		if _, _, err := ca.issue(one.name, one.user, one.group, one.hosts...); err != nil {
			return Machine{}, err
		}
	}
	for _, component := range []string{"kube-controller-manager", "kube-scheduler"} {
		if _, err := ca.kubeconfig(component, "system:"+component, ""); err != nil {
			return Machine{}, err
		}
	}
	kubernetes := filepath.Join(home(), "kubernetes")
	const api = "https://127.0.0.1:6443/readyz"
	return Machine{
		Name:  controlPlane,
		Setup: machineNetwork(controlPlaneAddr),
		Services: []Service{
			{Name: "etcd", Argv: []string{
				kubernetes, "etcd",
				"--name=" + controlPlane,
				"--data-dir=/var/lib/etcd/data",
				"--listen-client-urls=http://127.0.0.1:2379",
				"--advertise-client-urls=http://127.0.0.1:2379",
				"--listen-peer-urls=http://127.0.0.1:2380",
				"--log-level=warn",
				"--unsafe-no-fsync",
			}},
			{Name: "kube-apiserver", Argv: []string{
				kubernetes, "kube-apiserver",
				"--etcd-servers=http://127.0.0.1:2379",
				"--advertise-address=" + controlPlaneAddr,
				"--service-cluster-ip-range=" + serviceNetwork + "," + serviceNetwork6,
				"--tls-cert-file=" + ca.file("apiserver.crt"),
				"--tls-private-key-file=" + ca.file("apiserver.key"),
				"--client-ca-file=" + ca.file("ca.crt"),
				"--kubelet-client-certificate=" + ca.file("apiserver-kubelet.crt"),
				"--kubelet-client-key=" + ca.file("apiserver-kubelet.key"),
				"--kubelet-certificate-authority=" + ca.file("ca.crt"),
				"--kubelet-preferred-address-types=InternalIP",
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + ca.file("service-accounts.crt"),
				"--service-account-signing-key-file=" + ca.file("service-accounts.key"),
				"--requestheader-client-ca-file=" + ca.file("ca.crt"),
				"--requestheader-allowed-names=front-proxy-client",
				"--requestheader-username-headers=X-Remote-User",
				"--requestheader-group-headers=X-Remote-Group",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-",
				"--proxy-client-cert-file=" + ca.file("front-proxy.crt"),
				"--proxy-client-key-file=" + ca.file("front-proxy.key"),
				"--authorization-mode=Node,RBAC",
				"--enable-admission-plugins=NodeRestriction,PodSecurity",
				"--allow-privileged=true",
				"--audit-policy-file=" + policy,
				"--audit-log-path=" + auditLog,
				"--audit-log-maxsize=200",
				"--audit-log-maxbackup=1",
			}, After: "http://127.0.0.1:2379/health", Abrupt: true},
			{Name: "kube-controller-manager", Argv: []string{
				kubernetes, "kube-controller-manager",
				"--kubeconfig=" + ca.file("kube-controller-manager.kubeconfig"),
				"--authentication-kubeconfig=" + ca.file("kube-controller-manager.kubeconfig"),
				"--authorization-kubeconfig=" + ca.file("kube-controller-manager.kubeconfig"),
				"--service-account-private-key-file=" + ca.file("service-accounts.key"),
				"--root-ca-file=" + ca.file("ca.crt"),
				"--use-service-account-credentials=true",
				"--leader-elect=false",
				// A kubelet renews its lease every 3 s (see kubeletConfig): five missed, and its node is NotReady.
				"--node-monitor-grace-period=16s",
				"--node-monitor-period=2s",
			}, After: api},
			{Name: "kube-scheduler", Argv: []string{
				kubernetes, "kube-scheduler",
				"--kubeconfig=" + ca.file("kube-scheduler.kubeconfig"),
				"--authentication-kubeconfig=" + ca.file("kube-scheduler.kubeconfig"),
				"--authorization-kubeconfig=" + ca.file("kube-scheduler.kubeconfig"),
				"--leader-elect=false",
			}, After: api},
		},
	}, nil
}
