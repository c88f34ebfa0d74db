package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// kubectl becomes kubectl on this cluster. A kubectl-skoop that was built here is found after those on PATH.
func kubectl(arguments []string) error {
	os.Setenv("KUBECONFIG", kubeconfig())
	target := filepath.Dir(home())
	os.Setenv("PATH", strings.Join([]string{home() + "/bin", os.Getenv("PATH"), target + "/release", target + "/debug"}, ":"))
	return become(append([]string{home() + "/bin/kubectl"}, arguments...))
}

// node becomes a command in all namespaces of a machine. It ends with this process, also when this is killed.
func node(arguments []string) error {
	if len(arguments) > 1 && arguments[1] == "--" {
		arguments = append(arguments[:1:1], arguments[2:]...)
	}
	if len(arguments) < 2 {
		return usageError{"node needs a node and a command"}
	}
	name, err := machineName(arguments[0])
	if err != nil {
		return err
	}
	pid, err := pidOf(name)
	if err != nil {
		return err
	}
	if err := joinCgroups(name); err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		here = "/"
	}
	os.Setenv("PATH", home()+"/bin:"+os.Getenv("PATH"))
	return become(append([]string{"nsenter", "--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
		"--wdns=" + here, "--", "setpriv", "--pdeathsig", "KILL", "--"}, arguments[1:]...))
}

// become replaces this process.
func become(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, argv, os.Environ())
}

// load loads image archives on every node.
func load(arguments []string) error {
	if len(arguments) == 0 {
		return usageError{"load needs an archive"}
	}
	names, err := machineNames()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == controlPlane || name == router {
			continue
		}
		for _, archive := range arguments {
			file, err := os.Open(archive)
			if err != nil {
				return err
			}
			command := exec.Command(self, "node", name, "ctr", "-n", "k8s.io", "images", "import", "-")
			command.Stdin = file
			output, err := command.CombinedOutput()
			file.Close()
			if err != nil {
				return fmt.Errorf("loading %s on %s: %s", archive, name, strings.TrimSpace(string(output)))
			}
			for _, line := range strings.Split(strings.TrimSpace(string(output)), "\n") {
				fmt.Printf("%s: %s\n", name, line)
			}
		}
	}
	return nil
}

func stop(arguments []string) error    { return control("stop", arguments, "stop") }
func start(arguments []string) error   { return control("start", arguments, "start") }
func restart(arguments []string) error { return control("restart", arguments, "stop", "start") }

func control(command string, arguments []string, verbs ...string) error {
	if len(arguments) != 2 {
		return usageError{command + " needs a node and a service"}
	}
	name, err := machineName(arguments[0])
	if err != nil {
		return err
	}
	for _, verb := range verbs {
		if _, err := ask(name, verb+" "+arguments[1]); err != nil {
			return err
		}
	}
	return nil
}

// sendSignal sends a signal to a service.
func sendSignal(arguments []string) error {
	if len(arguments) != 3 {
		return usageError{"kill needs a node, a service and a signal"}
	}
	name, err := machineName(arguments[0])
	if err != nil {
		return err
	}
	_, err = ask(name, "kill "+arguments[1]+" "+arguments[2])
	return err
}

// logs writes out what a service wrote.
func logs(arguments []string) error {
	if len(arguments) != 2 {
		return usageError{"logs needs a node and a service"}
	}
	name, err := machineName(arguments[0])
	if err != nil {
		return err
	}
	file, err := os.Open(logOf(name, filepath.Base(arguments[1])))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(os.Stdout, file)
	return err
}

// status says what runs where.
func status([]string) error {
	if _, err := machineNames(); err != nil {
		return err
	}
	fmt.Print(describeMachines())
	return nil
}

// showNetwork says in two words which network the cluster has, and who enforces its policies.
func showNetwork([]string) error {
	answer, err := ask(supervisor, "network")
	if err != nil {
		return err
	}
	fmt.Println(answer)
	return nil
}

// machineNames are those of the machines that were started.
func machineNames() ([]string, error) {
	answer, err := ask(supervisor, "machines")
	if err != nil {
		return nil, err
	}
	var names []string
	return names, json.Unmarshal([]byte(answer), &names)
}

// describeMachines is every machine with its services and, of those that do not stay up, why.
func describeMachines() string {
	var text strings.Builder
	names, err := machineNames()
	if err != nil {
		return err.Error()
	}
	for _, name := range names {
		fmt.Fprintf(&text, "%s\n", name)
		answer, err := ask(name, "status")
		if err != nil {
			answer = errors.Join(errors.New("does not answer"), err).Error() + "\n" + lastLines(logOf(name, "init"), 3)
		}
		for _, line := range strings.Split(answer, "\n") {
			fmt.Fprintf(&text, "  %s\n", line)
			if service, state, _ := strings.Cut(line, " "); strings.HasPrefix(state, "starting again") {
				fmt.Fprintf(&text, "    %s\n", lastLines(logOf(name, service), 3))
			}
		}
	}
	return text.String()
}

func lastLines(file string, count int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n    ")
}

// present says whether a program is on PATH, or a file is there.
func present(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
