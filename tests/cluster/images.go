package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"
)

// The images that every node has. Nothing is pulled: they are loaded from archives.
const (
	pauseImage   = "docker.io/skoop-cluster/pause:1"
	labImage     = "docker.io/library/lab:1"
	corednsImage = "docker.io/skoop-cluster/coredns:1"
)

// entry is a file, folder or link of an image.
type entry struct {
	path, from, link string
	content          []byte
	mode             int64
}

// ownImages are the archives that a node loads when it starts, the pause image (which every pod needs) first.
func ownImages() []string {
	archives, _ := filepath.Glob(filepath.Join(home(), "images", "*.tar"))
	sort.Slice(archives, func(i, j int) bool {
		first := func(archive string) bool { return filepath.Base(archive) == "pause.tar" }
		return first(archives[i]) != first(archives[j]) && first(archives[i])
	})
	return archives
}

// images writes the archives of the images that are made here.
func images(arguments []string) error {
	if len(arguments) != 4 {
		return usageError{"images needs a folder, and the programs pause, lab and coredns"}
	}
	folder, pause, lab, coredns := arguments[0], arguments[1], arguments[2], arguments[3]
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	labFiles, err := labEntries(lab)
	if err != nil {
		return err
	}
	for _, image := range []struct {
		name       string
		entries    []entry
		entrypoint []string
	}{
		{pauseImage, []entry{{path: "pause", from: pause, mode: 0o755}}, []string{"/pause"}},
		{labImage, labFiles, nil},
		{corednsImage, []entry{{path: "coredns", from: coredns, mode: 0o755}}, []string{"/coredns"}},
	} {
		name, _, _ := strings.Cut(path.Base(image.name), ":")
		if err := writeImage(filepath.Join(folder, name+".tar"), image.name, image.entries, image.entrypoint); err != nil {
			return fmt.Errorf("image %s: %w", image.name, err)
		}
	}
	return nil
}

// image writes the archive of an image that is one program.
func image(arguments []string) error {
	if len(arguments) != 3 {
		return usageError{"image needs an archive, a name and a program"}
	}
	program := path.Base(arguments[2])
	return writeImage(arguments[0], "docker.io/"+arguments[1], []entry{{path: program, from: arguments[2], mode: 0o755}}, []string{"/" + program})
}

// labEntries: a shell and its tools (busybox), and the project's own servers.
func labEntries(lab string) ([]entry, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("busybox-static is not installed: %w", err)
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("busybox --list: %w", err)
	}
	entries := []entry{
		{path: "bin/", mode: 0o755}, {path: "etc/", mode: 0o755}, {path: "root/", mode: 0o700}, {path: "tmp/", mode: 0o1777},
		{path: "etc/passwd", content: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"), mode: 0o644},
		{path: "etc/group", content: []byte("root:x:0:\nnogroup:x:65534:\n"), mode: 0o644},
		{path: "bin/busybox", from: busybox, mode: 0o755},
		{path: "bin/lab", from: lab, mode: 0o755},
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			entries = append(entries, entry{path: "bin/" + applet, link: "busybox"})
		}
	}
	return entries, nil
}

// writeImage writes an image of one layer as `docker save` would, which `ctr images import` reads.
func writeImage(file, name string, entries []entry, entrypoint []string) error {
	layer, err := tarOf(entries)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": entrypoint, "Env": []string{"PATH=/bin"}, "WorkingDir": "/"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	archive, err := tarOf([]entry{
		{path: "layer.tar", content: layer, mode: 0o644},
		{path: "config.json", content: config, mode: 0o644},
		{path: "manifest.json", content: manifest, mode: 0o644},
	})
	if err != nil {
		return err
	}
	// Whole or not at all: an interrupted build leaves no half of it.
	if err := os.WriteFile(file+".part", archive, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

func tarOf(entries []entry) ([]byte, error) {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, e := range entries {
		content := e.content
		if e.from != "" {
			var err error
			if content, err = os.ReadFile(e.from); err != nil {
				return nil, err
			}
		}
		header := &tar.Header{Name: e.path, Mode: e.mode, Size: int64(len(content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		switch {
		case e.link != "":
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, e.link, 0o777
		case strings.HasSuffix(e.path, "/"):
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(content); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return buffer.Bytes(), err
}
