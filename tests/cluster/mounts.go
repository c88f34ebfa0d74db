package main

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mountMachine gives a machine file systems of its own, in its mount namespace, so that all of it goes with it: it sees
// the files of the host, but what it writes below /etc and /var, and all of /run, /proc and /sys, is its own.
func mountMachine(name string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err := ownRun(); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := ownSys(all); err != nil {
		return err
	}
	if err := keepHostSettings(); err != nil {
		return err
	}
	for _, folder := range []string{"/etc", "/var"} {
		if err := overlay(folder); err != nil {
			return err
		}
	}
	// An overlay cannot lie on another one: these hold the layers and volumes of containers.
	for _, folder := range []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd"} {
		if err := tmpfs(folder); err != nil {
			return err
		}
	}
	if err := identity(name); err != nil {
		return err
	}
	// Within the machine mounts spread, as they do on a real one: volumes reach containers that run already.
	return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

func tmpfs(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(prefix, folder, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	return nil
}

// ownRun is an empty /run in which only the cluster's own folder is the host's.
func ownRun() error {
	folder, err := os.Open(runFolder)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := tmpfs("/run"); err != nil {
		return err
	}
	for _, made := range []string{runFolder, "/run/lock", "/run/netns"} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
	}
	source := fmt.Sprintf("/proc/self/fd/%d", folder.Fd())
	if err := syscall.Mount(source, runFolder, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("%s: %w", runFolder, err)
	}
	return nil
}

// ownSys is the /sys of the machine's own network and cgroup namespaces.
func ownSys(all []hierarchy) error {
	// Below the new one the host's would still be listed, and Cilium wants no second bpf file system at one place.
	_ = syscall.Unmount("/sys", syscall.MNT_DETACH)
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("/sys: %w", err)
	}
	for folder, kind := range map[string]string{"/sys/fs/bpf": "bpf", "/sys/kernel/tracing": "tracefs", "/sys/kernel/debug": "debugfs", "/sys/kernel/security": "securityfs"} {
		// Not every kernel has each of these.
		_ = syscall.Mount(kind, folder, kind, 0, "")
	}
	unified := len(all) == 1 && all[0].path == "/sys/fs/cgroup"
	if !unified {
		if err := syscall.Mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("/sys/fs/cgroup: %w", err)
		}
	}
	for _, h := range all {
		if err := os.MkdirAll(h.path, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(h.kind, h.path, h.kind, 0, h.options); err != nil {
			return fmt.Errorf("%s: %w", h.path, err)
		}
	}
	return nil
}

// wantedSettings are what a kubelet and Cilium's agent want of a kernel, and set where they find it otherwise.
var wantedSettings = map[string]string{
	"vm/overcommit_memory":             "1",
	"vm/panic_on_oom":                  "0",
	"kernel/panic":                     "10",
	"kernel/panic_on_oops":             "1",
	"kernel/keys/root_maxkeys":         "1000000",
	"kernel/keys/root_maxbytes":        "25000000",
	"kernel/timer_migration":           "0",
	"kernel/unprivileged_bpf_disabled": "1",
}

// keepHostSettings lets them find the whole host's settings as they want them, so that they leave them alone: these
// belong to no namespace, and would stay.
func keepHostSettings() error {
	folder := filepath.Join("/run", prefix+"-own", "settings")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for setting, wanted := range wantedSettings {
		real := filepath.Join("/proc/sys", setting)
		if _, err := os.Stat(real); err != nil {
			continue
		}
		own := filepath.Join(folder, strings.ReplaceAll(setting, "/", "."))
		if err := os.WriteFile(own, []byte(wanted+"\n"), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(own, real, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", real, err)
		}
	}
	return nil
}

// overlay lets a machine write to a folder without that the host's changes.
func overlay(folder string) error {
	own := filepath.Join("/run", prefix+"-own", strings.Trim(folder, "/"))
	upper, work := filepath.Join(own, "upper"), filepath.Join(own, "work")
	for _, made := range []string{upper, work} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, upper, work)
	if err := syscall.Mount(prefix, folder, "overlay", 0, options); err != nil {
		return fmt.Errorf("an overlay on %s: %w", folder, err)
	}
	return nil
}

// identity is what tells one machine from another.
func identity(name string) error {
	id := fmt.Sprintf("%x\n", md5.Sum([]byte(prefix+name)))
	files := map[string]string{
		"/etc/hostname":    name + "\n",
		"/etc/hosts":       "127.0.0.1 localhost " + name + "\n",
		"/etc/machine-id":  id,
		"/etc/resolv.conf": "nameserver " + resolverAddr + "\n",
	}
	for path, text := range files {
		// Written anew: on the host it may be a link to somewhere else.
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
