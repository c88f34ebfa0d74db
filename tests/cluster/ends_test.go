package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A cluster is brought up and ended in every way, on a machine of the test's own: what would be left is seen there, and a
// cluster that is up on this one is not disturbed.

// stage says where the test is on its way into that machine.
const stage = "CLUSTER_TEST_STAGE"

const (
	testGroup     = "skoop-test"
	ownNamespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET
)

func TestMain(m *testing.M) {
	if os.Getenv(stage) != "enter" {
		os.Exit(m.Run())
	}
	// As `enclose` does it for a machine.
	runtime.LockOSThread()
	err := enterCgroups(testGroup, fmt.Sprint(os.Getpid()))
	if err == nil {
		err = syscall.Unshare(syscall.CLONE_NEWCGROUP)
	}
	if err == nil {
		os.Setenv(stage, "inside")
		err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestNothingStays(t *testing.T) {
	built, err := filepath.Abs("../../target/cluster")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(built, "images", "coredns.tar")); os.Geteuid() != 0 || err != nil {
		t.Skip("this needs root, and a cluster that is built (`make cluster-test`)")
	}
	if os.Getenv(stage) == "" {
		outside(t)
		return
	}
	must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must(t, syscall.Mount("proc", "/proc", "proc", 0, ""))
	all, err := hierarchies()
	must(t, err)
	must(t, tmpfs("/run"))
	must(t, ownSys(all))
	must(t, leaveCgroupRoot())
	c := install(t, built)
	before := hostSettings(t)

	t.Run("up without root", func(t *testing.T) {
		// Whoever is not root may still reach the program.
		must(t, os.Chmod(filepath.Dir(filepath.Dir(c.program)), 0o755))
		up := c.command("up")
		up.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		refused(t, up, "root is needed")
		c.nothingStays(t)
	})
	t.Run("up without packages", func(t *testing.T) {
		up := c.command("up")
		up.Env = append(os.Environ(), "PATH="+t.TempDir())
		refused(t, up, "missing packages: containerd runc", "make cluster CNI=")
		c.nothingStays(t)
	})
	for _, after := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 6 * time.Second} {
		t.Run(fmt.Sprintf("up killed after %s", after), func(t *testing.T) {
			up := c.start(t, "up")
			time.Sleep(after) // the moment is what is tried
			must(t, up.Process.Kill())
			_ = up.Wait()
			c.nothingStays(t)
		})
		t.Run(fmt.Sprintf("up interrupted after %s", after), func(t *testing.T) {
			up := c.start(t, "up")
			time.Sleep(after)
			must(t, up.Process.Signal(syscall.SIGINT))
			if up.Wait() == nil {
				t.Error("interrupted, and yet it says that it succeeded")
			}
			c.nothingStays(t)
		})
	}
	t.Run("up after a crash, and again, and down", func(t *testing.T) {
		c.run(t, "up")
		c.kill(t, supervisor)
		c.run(t, "up", "--nodes", "3")
		refused(t, c.command("up"), "already up")
		if nodes := c.run(t, "kubectl", "get", "nodes", "--no-headers"); strings.Count(nodes, " Ready ") != 3 {
			t.Errorf("not three nodes are ready:\n%s", nodes)
		}
		c.run(t, "down")
		c.nothingStays(t)
	})
	for _, machine := range []string{supervisor, controlPlane, nodeName(2)} {
		t.Run(machine+" killed on the way up", func(t *testing.T) {
			up := c.start(t, "up")
			c.kill(t, machine)
			if up.Wait() == nil {
				t.Errorf("up succeeds without %s", machine)
			}
			c.nothingStays(t)
		})
	}
	t.Run("down twice", func(t *testing.T) { c.run(t, "down") })
	if after := hostSettings(t); !maps.Equal(before, after) {
		t.Errorf("settings of the whole host were %v and are %v", before, after)
	}
}

// refused is a command that fails and says why.
func refused(t *testing.T, command *exec.Cmd, why ...string) {
	t.Helper()
	said, err := command.CombinedOutput()
	if err == nil {
		t.Errorf("it succeeds, and says %s", said)
	}
	for _, part := range why {
		if !strings.Contains(string(said), part) {
			t.Errorf("it does not say %q, but %s", part, said)
		}
	}
}

// outside runs this test again on a machine of its own.
func outside(t *testing.T) {
	again := exec.Command("/proc/self/exe", "-test.run=^TestNothingStays$", "-test.v", "-test.timeout=10m")
	again.Env = append(os.Environ(), stage+"=enter")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: ownNamespaces, Pdeathsig: syscall.SIGKILL}
	err := again.Run()
	if sweeping := removeCgroups(testGroup); sweeping != nil {
		t.Error(sweeping)
	}
	if err != nil {
		t.Fatal("see above:", err)
	}
}

// installed is the program in a folder of the test's own, beside which it writes its kubeconfig.
type installed struct{ program string }

func install(t *testing.T, built string) installed {
	folder := t.TempDir()
	for _, name := range []string{"kubernetes", "coredns", "lab", "images", "plugins", "bin"} {
		must(t, os.Symlink(filepath.Join(built, name), filepath.Join(folder, name)))
	}
	program, err := os.ReadFile(filepath.Join(built, "cluster"))
	must(t, err)
	c := installed{filepath.Join(folder, "cluster")}
	must(t, os.WriteFile(c.program, program, 0o755))
	return c
}

// command is one of the program's; `up` is with the network, the policy engine and the mode of kube-proxy that the environment names.
func (c installed) command(arguments ...string) *exec.Cmd {
	if arguments[0] == "up" {
		for _, chosen := range []struct{ option, variable string }{{"--cni", "CNI"}, {"--policies", "POLICIES"}, {"--kube-proxy", "KUBEPROXY"}} {
			if value := os.Getenv(chosen.variable); value != "" {
				arguments = append(arguments, chosen.option, value)
			}
		}
	}
	return exec.Command(c.program, arguments...)
}

func (c installed) start(t *testing.T, arguments ...string) *exec.Cmd {
	command := c.command(arguments...)
	must(t, command.Start())
	return command
}

func (c installed) run(t *testing.T, arguments ...string) string {
	said, err := c.command(arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("cluster %s: %v\n%s", strings.Join(arguments, " "), err, said)
	}
	return string(said)
}

// kill ends a machine's init, as soon as there is one.
func (c installed) kill(t *testing.T, machine string) {
	eventually(t, machine+" has no init", func() bool {
		pid, err := pidOf(machine)
		return err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil
	})
}

// nothingStays waits until nothing of a cluster is left, or says what.
func (c installed) nothingStays(t *testing.T) {
	t.Helper()
	var left []string
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if left = c.leftovers(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %s", strings.Join(left, ", "))
}

func (c installed) leftovers(t *testing.T) []string {
	var left []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		if program, err := os.Readlink(process + "/exe"); err == nil && !strings.HasSuffix(program, ".test") {
			left = append(left, "process "+program)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for _, line := range strings.Split(string(mounts), "\n") {
		if strings.HasPrefix(line, prefix) && !strings.HasPrefix(line, prefix+" /run tmpfs") {
			left = append(left, "mount "+line)
		}
	}
	interfaces, err := net.Interfaces()
	must(t, err)
	for _, one := range interfaces {
		if one.Name != "lo" {
			left = append(left, "interface "+one.Name)
		}
	}
	all, err := hierarchies()
	must(t, err)
	for _, h := range all {
		if _, err := os.Stat(filepath.Join(h.path, prefix)); err == nil {
			left = append(left, "cgroup "+filepath.Join(h.path, prefix))
		}
	}
	files, _ := filepath.Glob("/run/skoop-*")
	left = append(left, files...)
	if _, err := os.Stat(filepath.Join(filepath.Dir(c.program), "kubeconfig")); err == nil {
		left = append(left, "kubeconfig")
	}
	return left
}

// hostSettings are all that are not a network namespace's.
func hostSettings(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, folder := range []string{"kernel", "vm"} {
		must(t, filepath.WalkDir("/proc/sys/"+folder, func(path string, entry os.DirEntry, err error) error {
			// Counters, and what is random or differs by who looks.
			if err != nil || entry.IsDir() || strings.Contains(path, "random/") || strings.Contains(path, "ns_last_pid") {
				return nil
			}
			if text, err := os.ReadFile(path); err == nil {
				found[path] = string(text)
			}
			return nil
		}))
	}
	return found
}

func eventually(t *testing.T, otherwise string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal(otherwise)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
