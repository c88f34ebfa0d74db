package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed coredns.yaml
var corednsManifest string

// settle waits until the cluster is whole, and does what the API server has to be told for that.
func settle(p plan, say func(string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var api *apiClient
	steps := []struct {
		says string
		done func() error
	}{
		{"API server answers", func() (err error) {
			if api == nil {
				if api, err = newAPIClient(); err != nil {
					return err
				}
			}
			return api.get("/readyz", nil)
		}},
		{"", writeKubeconfig},
		{"", func() error { return applyKinds(p) }},
		{"nodes are ready", func() error { return nodesReady(api, p.nodes) }},
		{"", func() error { return apply(manifests(p)) }},
		{"services and DNS work", func() error {
			return errors.Join(proxiesReady(p), deploymentReady(api, "kube-system", "coredns"))
		}},
		{"", func() error { return daemonSetsReady(api, p) }},
		{"", func() error { return api.get("/api/v1/namespaces/default/serviceaccounts/default", nil) }},
	}
	for _, step := range steps {
		if err := until(ctx, step.done); err != nil {
			return err
		}
		if step.says != "" {
			say(step.says)
		}
	}
	return nil
}

// manifests are what the API server is told first: CoreDNS, and what the plugins bring.
func manifests(p plan) string {
	all := []string{corednsManifest}
	for _, plugin := range p.plugins() {
		if plugin.manifest != "" {
			all = append(all, plugin.manifest)
		}
	}
	return strings.Join(all, "---\n")
}

// until tries something again and again until it succeeds, a machine is lost, or time is up.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		if lost := lostMachines(); lost != "" {
			return errors.New(lost)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w\n%s", patience, err, describeMachines())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func lostMachines() string {
	answer, err := ask(supervisor, "status")
	var lost []string
	if err != nil || json.Unmarshal([]byte(answer), &lost) != nil {
		return ""
	}
	return strings.Join(lost, "; ")
}

// writeKubeconfig puts the administrator's configuration where users look for it.
func writeKubeconfig() error {
	text, err := os.ReadFile(inRun("pki", "admin.kubeconfig"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(kubeconfig(), text, 0o600); err != nil {
		return err
	}
	// Of use to who called sudo.
	uid, errUID := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, errGID := strconv.Atoi(os.Getenv("SUDO_GID"))
	if errUID == nil && errGID == nil {
		return os.Chown(kubeconfig(), uid, gid)
	}
	return nil
}

// applyKinds tells the API server which kinds of objects the plugins have.
func applyKinds(p plan) error {
	for _, plugin := range p.plugins() {
		if plugin.kinds == "" {
			continue
		}
		kinds, err := os.ReadFile(built(plugin.kinds))
		if err != nil {
			return err
		}
		if err := apply(string(kinds)); err != nil {
			return err
		}
	}
	return nil
}

// apply hands manifests to the API server. What it starts for that ends with this process, however that ends.
func apply(manifest string) error {
	// The signal comes when the thread ends that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command := exec.Command(home()+"/bin/kubectl", "--kubeconfig", kubeconfig(), "apply", "--server-side", "-f", "-")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Stdin = strings.NewReader(manifest)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %s", strings.TrimSpace(string(output)))
	}
	return nil
}

// nodesReady notes each node's pod range once it has registered, and looks whether all are Ready.
func nodesReady(api *apiClient, nodes int) error {
	for n := 1; n <= nodes; n++ {
		var node struct {
			Spec   struct{ PodCIDR string }
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		path := "/api/v1/nodes/" + nodeName(n)
		if err := api.get(path, &node); err != nil {
			return err
		}
		if node.Spec.PodCIDR == "" {
			if err := api.patch(path, fmt.Sprintf(`{"spec":{"podCIDR":%q,"podCIDRs":[%[1]q]}}`, podRange(n))); err != nil {
				return err
			}
		}
		ready := false
		for _, condition := range node.Status.Conditions {
			ready = ready || condition.Type == "Ready" && condition.Status == "True"
		}
		if !ready {
			return fmt.Errorf("node %s is not Ready", nodeName(n))
		}
	}
	return nil
}

// proxiesReady asks each node's kube-proxy, where there is one, whether it has written its rules.
func proxiesReady(p plan) error {
	if p.replacesProxy() {
		return nil
	}
	client := http.Client{Timeout: 2 * time.Second}
	for n := 1; n <= p.nodes; n++ {
		response, err := client.Get("http://" + nodeAddr(n) + ":10256/healthz")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("kube-proxy of %s: %s", nodeName(n), response.Status)
		}
	}
	return nil
}

func deploymentReady(api *apiClient, namespace, name string) error {
	var deployment struct {
		Spec   struct{ Replicas int }
		Status struct{ AvailableReplicas, UpdatedReplicas int }
	}
	if err := api.get("/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &deployment); err != nil {
		return err
	}
	if s := deployment.Status; s.AvailableReplicas < deployment.Spec.Replicas || s.UpdatedReplicas < deployment.Spec.Replicas {
		return fmt.Errorf("%d of %d pods of %s are available", s.AvailableReplicas, deployment.Spec.Replicas, name)
	}
	return nil
}

// daemonSetsReady looks whether the plugins' own pods run on each node.
func daemonSetsReady(api *apiClient, p plan) error {
	for _, plugin := range p.plugins() {
		if plugin.daemonSet == "" {
			continue
		}
		var set struct {
			Status struct{ NumberReady int }
		}
		if err := api.get("/apis/apps/v1/namespaces/kube-system/daemonsets/"+plugin.daemonSet, &set); err != nil {
			return err
		}
		if set.Status.NumberReady < p.nodes {
			return fmt.Errorf("%d of %d pods of %s are ready", set.Status.NumberReady, p.nodes, plugin.daemonSet)
		}
	}
	return nil
}

// apiClient talks to the API server as the administrator.
type apiClient struct{ http *http.Client }

func newAPIClient() (*apiClient, error) {
	pair, err := tls.LoadX509KeyPair(inRun("pki", "admin.crt"), inRun("pki", "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(inRun("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}}
	return &apiClient{&http.Client{Transport: transport, Timeout: 5 * time.Second}}, nil
}

func (a *apiClient) get(path string, into any) error {
	return a.do(http.MethodGet, path, "", into)
}

func (a *apiClient) patch(path, body string) error {
	return a.do(http.MethodPatch, path, body, nil)
}

func (a *apiClient) do(method, path, body string, into any) error {
	request, err := http.NewRequest(method, "https://"+controlPlaneAddr+":6443"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/merge-patch+json")
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
