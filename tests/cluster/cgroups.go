package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// hierarchy is a mounted cgroup hierarchy.
type hierarchy struct {
	path    string // below /sys/fs/cgroup
	kind    string // cgroup, cgroup2
	options string // of v1: its controllers, or its name
}

func (h hierarchy) has(controller string) bool {
	return slices.Contains(strings.Split(h.options, ","), controller)
}

// hierarchies are those that are mounted, each once.
func hierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []hierarchy
	seen := map[string]bool{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// "36 35 98:0 /root /mount options... - type source super-options"
		before, after, _ := strings.Cut(lines.Text(), " - ")
		mount, super := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(super) < 3 || !strings.HasPrefix(super[0], "cgroup") || !strings.HasPrefix(mount[4], "/sys/fs/cgroup") || seen[mount[4]] || !shows(mount[4], super[0]) {
			continue
		}
		seen[mount[4]] = true
		var options []string
		for _, option := range strings.Split(super[2], ",") {
			if super[0] == "cgroup" && option != "rw" && option != "ro" && !strings.HasPrefix(option, "release_agent") {
				options = append(options, option)
			}
		}
		found = append(found, hierarchy{path: mount[4], kind: super[0], options: strings.Join(options, ",")})
	}
	return found, lines.Err()
}

// What statfs says of each kind of hierarchy (linux/magic.h).
var cgroupMagic = map[string]int64{"cgroup": 0x27e0eb, "cgroup2": 0x63677270}

// shows says whether a hierarchy of this kind is what one sees at a path: another mount may lie upon it.
func shows(path, kind string) bool {
	var seen syscall.Statfs_t
	return syscall.Statfs(path, &seen) == nil && int64(seen.Type) == cgroupMagic[kind]
}

// enterCgroups makes a cgroup for a machine, in one of all machines, in every hierarchy, and moves this process there.
func enterCgroups(machines, machine string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		parent := filepath.Join(h.path, machines)
		own := filepath.Join(parent, machine)
		for _, group := range []string{parent, own} {
			if err := delegate(h, filepath.Dir(group)); err != nil {
				return err
			}
			if err := os.MkdirAll(group, 0o755); err != nil {
				return fmt.Errorf("a cgroup for %s: %w", machine, err)
			}
			if h.has("cpuset") {
				if err := fillCpuset(group); err != nil {
					return err
				}
			}
		}
		if err := os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("entering cgroup %s: %w", own, err)
		}
	}
	return nil
}

// joinCgroups moves this process to where a machine's own processes are.
func joinCgroups(machine string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		own := filepath.Join(h.path, prefix, machine)
		if _, err := os.Stat(filepath.Join(own, initLeaf)); err == nil {
			own = filepath.Join(own, initLeaf)
		}
		if err := os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("entering cgroup %s: %w", own, err)
		}
	}
	return nil
}

// kubeletControllers are those that a kubelet wants of a v2 hierarchy.
var kubeletControllers = []string{"cpu", "cpuset", "memory", "pids", "io", "hugetlb"}

// delegate hands a v2 group's controllers to its children.
func delegate(h hierarchy, group string) error {
	if h.kind != "cgroup2" {
		return nil
	}
	controllers, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(controllers)) {
		if !slices.Contains(kubeletControllers, controller) {
			continue
		}
		// One by one: a controller that cannot be handed on is one that the node does without.
		_ = os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
	return nil
}

// fillCpuset gives a v1 cpuset its parent's processors and memory nodes: it begins with none.
func fillCpuset(group string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(group, file))
		if err != nil || len(bytes.TrimSpace(own)) > 0 {
			continue
		}
		parents, err := os.ReadFile(filepath.Join(filepath.Dir(group), file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, file), parents, 0); err != nil {
			return fmt.Errorf("filling %s of %s: %w", file, group, err)
		}
	}
	return nil
}

// initLeaf is where a machine's init is in a v2 hierarchy: a group there has processes or hands controllers on.
const initLeaf = "init"

// leaveCgroupRoot moves a machine's init out of the root of its own v2 hierarchy, which may then hand controllers on.
func leaveCgroupRoot() error {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		return nil // v1
	}
	leaf := "/sys/fs/cgroup/" + initLeaf
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(leaf+"/cgroup.procs", []byte("0"), 0); err != nil {
		return fmt.Errorf("entering cgroup %s: %w", leaf, err)
	}
	return delegate(hierarchy{kind: "cgroup2"}, "/sys/fs/cgroup")
}

// removeCgroups removes the cgroups of all machines, once their processes have ended.
func removeCgroups(machines string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := removeTree(filepath.Join(h.path, machines)); err != nil {
			return err
		}
	}
	return nil
}

func removeTree(group string) error {
	entries, err := os.ReadDir(group)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(group, entry.Name())); err != nil {
				return err
			}
		}
	}
	// Busy while a process that was killed is still on its way out.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Rmdir(group)
		if err == nil || err == syscall.ENOENT {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("removing cgroup %s: %w", group, err)
		}
	}
}
