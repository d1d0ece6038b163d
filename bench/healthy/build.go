package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	oneshotModule = "github.com/gomanhole/oneshot"
	thisModule    = oneshotModule + "/bench/healthy"
)

// builder builds programs with a release of Go, in a folder.
type builder struct {
	ctx     context.Context
	dir     string
	release string
}

// output runs the go command in a folder. "" is this folder.
func (b builder) output(dir string, args ...string) ([]byte, error) {
	c := exec.CommandContext(b.ctx, "go", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOTOOLCHAIN="+b.release, "GOWORK=off", "CGO_ENABLED=0")
	out, err := c.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("go %s with %s: %w\n%s%s", strings.Join(args, " "), b.release, err, out, exit.Stderr)
	}
	return out, err
}

func (b builder) command(dir string, args ...string) error {
	_, err := b.output(dir, args...)
	return err
}

// build builds a system, and returns the path of the program. If module is not "", the
// program is part of a copy of that module.
func (b builder) build(s system, module string) (string, error) {
	binary := filepath.Join(b.dir, s.name)
	if module == "" {
		return binary, b.command("", "build", "-o", binary, "./systems/"+s.name)
	}
	dir, err := os.MkdirTemp(b.dir, "own")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := b.copyModule(module, dir); err != nil {
		return "", err
	}
	const inside = "healthy_program"
	if err := os.CopyFS(filepath.Join(dir, inside), os.DirFS(filepath.Join("systems", s.name))); err != nil {
		return "", err
	}
	return binary, b.command(dir, "build", "-mod=mod", "-o", binary, "./"+inside)
}

// copyModule copies a module into a folder, where it requires this module and so the
// versions that this one requires.
func (b builder) copyModule(module, dir string) error {
	out, err := b.output("", "mod", "download", "-json", module)
	if err != nil {
		return err
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
		return err
	}
	edit := []string{
		"mod", "edit", "-toolchain=none",
		"-require=" + oneshotModule + "@v0.0.0", "-require=" + thisModule + "@v0.0.0",
	}
	// What the module replaces is beside it in its repository, but not here.
	out, err = b.output(dir, "mod", "edit", "-json")
	if err != nil {
		return err
	}
	var file struct {
		Replace []struct {
			Old struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(out, &file); err != nil {
		return err
	}
	for _, r := range file.Replace {
		edit = append(edit, "-dropreplace="+strings.TrimSuffix(r.Old.Path+"@"+r.Old.Version, "@"))
	}
	for name, place := range map[string]string{oneshotModule: "../..", thisModule: "."} {
		full, err := filepath.Abs(place)
		if err != nil {
			return err
		}
		edit = append(edit, "-replace="+name+"="+full)
	}
	if err := b.command(dir, edit...); err != nil {
		return err
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		return err
	}
	// Two lines may be the same; the go command does not mind.
	f, err := os.OpenFile(filepath.Join(dir, "go.sum"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(sums)
	return errors.Join(err, f.Close())
}
