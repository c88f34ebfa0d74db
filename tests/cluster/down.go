package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// lock is held by whoever brings a cluster up, then by its supervisor: there is one cluster on a machine.
type lock struct{ file *os.File }

const lockFile = "/run/" + prefix + ".lock"

var errUp = errors.New("a cluster is already up, or on its way up or down (`make cluster-down` takes it down)")

func takeLock() (*lock, error) {
	for {
		file, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			file.Close()
			return nil, errUp
		}
		// Who held it before removes the file at the end: then this one is nobody's.
		ours, _ := file.Stat()
		if there, err := os.Stat(lockFile); err == nil && os.SameFile(ours, there) {
			return &lock{file}, nil
		}
		file.Close()
	}
}

// awaitLock takes the lock, and has a little patience with a cluster that is ending.
func awaitLock() (*lock, error) {
	held, err := takeLock()
	for end := time.Now().Add(5 * time.Second); errors.Is(err, errUp) && time.Now().Before(end); held, err = takeLock() {
		// Only one that lives answers; the kernel takes connections for one that is dying, too.
		if _, dead := ask(supervisor, "status"); dead == nil {
			return nil, errUp
		}
		time.Sleep(20 * time.Millisecond)
	}
	return held, err
}

// release gives the lock up, and leaves no file behind.
func (l *lock) release() {
	_ = os.Remove(lockFile)
	l.file.Close()
}

// down takes the cluster down, or what is left of one.
func down(arguments []string) error {
	if len(arguments) > 0 {
		return usageError{"down takes no argument"}
	}
	if os.Geteuid() != 0 {
		return errors.New("root is needed (sudo)")
	}
	begun := time.Now()
	if err := takeDown(); err != nil {
		return err
	}
	fmt.Printf("cluster: down after %.1f s\n", time.Since(begun).Seconds())
	return nil
}

// takeDown ends a cluster in whatever state it is, and clears away what it left.
func takeDown() error {
	held, err := takeLock()
	for end := time.Now().Add(30 * time.Second); errors.Is(err, errUp) && time.Now().Before(end); held, err = takeLock() {
		// Ended by itself it clears up; if it does not answer, the kernel ends it and all its machines.
		if _, failure := ask(supervisor, "down"); failure != nil && !errors.Is(failure, errNotUp) {
			if pid, failure := pidOf(supervisor); failure == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("its supervisor does not end: %w", err)
	}
	defer held.release()
	return sweep()
}

// sweep removes what outlives the machines' namespaces. The lock is held by the caller.
func sweep() error {
	if _, err := net.InterfaceByName(hostLink); err == nil {
		if output, err := exec.Command("ip", "link", "delete", hostLink).CombinedOutput(); err != nil {
			if _, still := net.InterfaceByName(hostLink); still == nil {
				return fmt.Errorf("ip link delete %s: %s", hostLink, strings.TrimSpace(string(output)))
			}
		}
	}
	if err := removeCgroups(prefix); err != nil {
		return err
	}
	_ = os.Remove(kubeconfig())
	return os.RemoveAll(runFolder)
}

// foreignAddresses refuses networks that overlap with the cluster's.
func foreignAddresses() error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, own := range []string{network, podNetwork, serviceNetwork} {
		_, block, _ := net.ParseCIDR(own)
		for _, address := range addresses {
			if theirs, ok := address.(*net.IPNet); ok && (block.Contains(theirs.IP) || theirs.Contains(block.IP)) {
				return fmt.Errorf("this machine already has the address %s, inside the cluster's network %s", theirs, own)
			}
		}
	}
	return nil
}
