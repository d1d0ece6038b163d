//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// The files in examples/deploy, as far as they can be used without a container engine and
// without systemd.

// image is what a Dockerfile of examples/deploy says.
type image struct {
	copied     []string // sources in the folder of the module
	run        []string // the commands of the build
	base       string
	from, into []string // what is copied out of the build, and where
	user       string
	entrypoint []string
}

// readDockerfile reads a Dockerfile with two stages. It fails on each instruction that it
// does not know.
func readDockerfile(t *testing.T, file string) (i image) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	stage := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), words[0]))
		switch {
		case words[0] == "FROM":
			stage++
			i.base = words[1]
			if stage == 1 {
				require.Regexp(t, `^golang:1\.\d+ AS build$`, rest)
			}
		case words[0] == "WORKDIR" && stage == 1:
			require.Equal(t, "/src", rest)
		case words[0] == "RUN" && stage == 1:
			i.run = append(i.run, rest)
		case words[0] == "COPY" && stage == 1:
			i.copied = append(i.copied, words[1:len(words)-1]...)
		case words[0] == "COPY" && words[1] == "--from=build":
			for _, from := range words[2 : len(words)-1] {
				i.from = append(i.from, from)
				i.into = append(i.into, words[len(words)-1])
			}
		case words[0] == "USER" && stage == 2:
			i.user = rest
		case words[0] == "EXPOSE" && stage == 2:
		case words[0] == "ENTRYPOINT" && stage == 2:
			require.NoError(t, json.Unmarshal([]byte(rest), &i.entrypoint), "the form without a shell, which the image does not have")
		default:
			require.FailNow(t, "unknown instruction", "%s: %s", file, line)
		}
	}
	require.Equal(t, 2, stage)
	require.NotEmpty(t, i.entrypoint)
	return i
}

// build runs the commands of the build in the module's folder and returns a folder with
// what the image has of them. The programs are static.
func (i image) build(t *testing.T) (root string) {
	t.Helper()
	for _, source := range i.copied {
		_, err := os.Stat(filepath.Join("..", source))
		require.NoError(t, err, "COPY %s", source)
	}
	out := shortDir(t)
	for _, command := range i.run {
		if command == "go mod download" { // gets more than the test needs
			continue
		}
		require.Regexp(t, `^CGO_ENABLED=0 go build -o /out/`, command)
		require.NoError(t, runShell("..", strings.ReplaceAll(command, "/out/", out+"/")))
	}
	root = shortDir(t)
	for n, from := range i.from {
		into := i.into[n]
		if strings.HasSuffix(into, "/") {
			into += path.Base(from)
		}
		require.NoError(t, os.Rename(strings.Replace(from, "/out/", out+"/", 1), filepath.Join(root, into)))
	}
	return root
}

// TestTheImages builds what the Dockerfiles build, puts it into an otherwise empty root
// folder, starts the entry point as the user of the image, and enters with the client that
// is in the image, as docker exec does. The pod uses the image of scratch.Dockerfile with
// a read-only root and without any capability.
func TestTheImages(t *testing.T) {
	t.Parallel()
	need(t, "sh", "dash")
	scratch := readDockerfile(t, "../examples/deploy/scratch.Dockerfile")
	distroless := readDockerfile(t, "../examples/deploy/distroless.Dockerfile")
	require.Equal(t, "scratch", scratch.base)
	require.Regexp(t, `^gcr\.io/distroless/static-debian\d+:nonroot$`, distroless.base)
	require.Equal(t, "65532:65532", scratch.user)
	require.Equal(t, scratch.run, distroless.run, "the same programs")
	require.Equal(t, scratch.from, distroless.from)
	require.Equal(t, scratch.entrypoint, distroless.entrypoint)
	pod := readPod(t)
	root := scratch.build(t)

	needRoot(t)
	need(t, "nsenter", "util-linux")
	dir := matrixFolder(t)
	run := append(append([]string(nil), scratch.entrypoint...), "-addr", "127.0.0.1:0") // the last -addr counts
	files := "cp " + root + "/* ."
	for _, p := range []place{
		{name: "scratch", uid: 65532, kind: container, image: files + " && " + shm, run: run},
		{name: "distroless", uid: 65532, kind: container, image: files + " && " + withTmp, run: run},
		{name: "pod", uid: pod.Spec.SecurityContext.RunAsUser, kind: container, image: files + " && " + pod.mounts(t) + " && " + readOnly, run: run},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.buildable(t)
			c := p.start(t, dir)
			capabilities := dockerCapabilities
			if p.name == "pod" {
				capabilities = 0 // drop: [ALL]
			}
			inside := append(p.enterNamespaces(c.Process.Pid, "--mount", "--root", "--wd"), "/mnt/program", "become", strconv.Itoa(p.uid), fmt.Sprintf("%x", capabilities))
			enter := func(argv ...string) {
				out, err := testwait.Command(t, argv[0], argv[1:]...).CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Contains(t, string(out), "examples/server/main.go:")
			}
			enter(append(inside, "/oneshot", "1", "stacks")...)
			if p.name == "pod" { // an ephemeral container has the user of the pod
				debug, folder := beside(p, c.Process.Pid, dir, p.uid, 0)
				enter(append(debug, folder+"/oneshot", "1", "stacks")...)
			}
		})
	}
}

// pod is the part of a Kubernetes pod (core/v1) that pod.yaml uses. Each field that is
// not here is an error.
type pod struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Spec struct {
		AutomountServiceAccountToken bool `yaml:"automountServiceAccountToken"`
		SecurityContext              struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			RunAsUser      int                   `yaml:"runAsUser"`
			RunAsGroup     int                   `yaml:"runAsGroup"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Containers []struct {
			Name, Image string
			Ports       []struct {
				Name          string
				ContainerPort int `yaml:"containerPort"`
			}
			SecurityContext struct {
				AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
				ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
				Capabilities             struct{ Drop []string }
			} `yaml:"securityContext"`
			VolumeMounts []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name     string
			EmptyDir *struct {
				Medium    string
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
		}
	}
}

// readPod reads examples/deploy/pod.yaml and checks what the API server demands.
func readPod(t *testing.T) (p pod) {
	t.Helper()
	text, err := os.ReadFile("../examples/deploy/pod.yaml")
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&p))
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	require.Equal(t, "v1 Pod", p.APIVersion+" "+p.Kind)
	require.Regexp(t, label, p.Metadata.Name)
	require.Len(t, p.Spec.Containers, 1)
	require.Contains(t, []string{"RuntimeDefault", "Unconfined"}, p.Spec.SecurityContext.SeccompProfile.Type)
	c := p.Spec.Containers[0]
	require.Regexp(t, label, c.Name)
	require.NotEmpty(t, c.Image)
	for _, port := range c.Ports {
		require.Regexp(t, label, port.Name)
		require.LessOrEqual(t, len(port.Name), 15)
		require.Contains(t, strings.Join(readDockerfile(t, "../examples/deploy/scratch.Dockerfile").entrypoint, " "), fmt.Sprintf(":%d", port.ContainerPort))
	}
	// The profile restricted of the pod security standards.
	require.True(t, p.Spec.SecurityContext.RunAsNonRoot && p.Spec.SecurityContext.RunAsUser != 0 && c.SecurityContext.ReadOnlyRootFilesystem)
	require.NotNil(t, c.SecurityContext.AllowPrivilegeEscalation)
	require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop)
	return p
}

// mounts returns the commands that mount the volumes of the pod in its root folder.
func (p pod) mounts(t *testing.T) string {
	t.Helper()
	volumes := make(map[string]bool)
	for _, v := range p.Spec.Volumes {
		require.NotNil(t, v.EmptyDir, v.Name)
		require.Equal(t, "Memory", v.EmptyDir.Medium)
		volumes[v.Name] = true
	}
	commands := []string{"true"}
	for _, m := range p.Spec.Containers[0].VolumeMounts {
		require.True(t, volumes[m.Name], "volume %s", m.Name)
		require.True(t, path.IsAbs(m.MountPath))
		commands = append(commands, "mkdir -p ."+m.MountPath+" && mount -t tmpfs -o mode=1777 none ."+m.MountPath)
	}
	return strings.Join(commands, " && ")
}

// TestTheUnit checks examples/deploy/server.service with systemd, and starts its command as
// the unit says: as a user, with its own /tmp and a RuntimeDirectory. Root of the host
// enters.
func TestTheUnit(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../examples/deploy/server.service")
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/server (.*)$`).FindSubmatch(text)
	require.NotNil(t, found)
	for _, line := range []string{"RuntimeDirectory=server", "RuntimeDirectoryMode=0700", "PrivateTmp=yes", "DynamicUser=yes"} {
		require.Contains(t, string(text), "\n"+line+"\n")
	}

	t.Run("the command", func(t *testing.T) {
		needRoot(t)
		p := place{uid: alice, kind: ownTmp}
		p.run = append([]string{"/mnt/server"}, strings.Fields(strings.ReplaceAll(string(found[1]), "%%", "%"))...)
		p.run = append(p.run, "-addr", "127.0.0.1:0")
		p.before = "mount -t tmpfs none /run && install -d -o 12345 -m 0700 /run/server"
		p.buildable(t)
		dir := matrixFolder(t)
		c := p.start(t, dir)
		pid := strconv.Itoa(c.Process.Pid)
		out, errs, status := oneshotAs(t, []string{"env"}, pid, "mem")
		require.Zero(t, status, errs)
		require.Contains(t, out, "heap in use")
		c.logs(t, "path=/run/server/manhole-"+pid)
		c.signal(t, syscall.SIGTERM) // what systemctl stop sends
		require.Equal(t, 0, c.AwaitEnd(t).ExitStatus())
	})

	t.Run("systemd", func(t *testing.T) {
		need(t, "systemd-analyze", "systemd")
		unit := filepath.Join(t.TempDir(), "server.service")
		verify := func(text []byte) string {
			require.NoError(t, os.WriteFile(unit, text, 0o600))
			out, err := testwait.Command(t, "systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
			return fmt.Sprintf("%s%v", out, err)
		}
		if out := verify([]byte("[Service]\nExecStart=" + server + "\n")); out != "<nil>" {
			t.Skipf("systemd-analyze verify does not work here: %s", out)
		}
		// The program must exist.
		text := bytes.ReplaceAll(text, []byte("/usr/local/bin/server"), []byte(server))
		good := verify(text)
		require.True(t, strings.HasSuffix(good, "<nil>"), good)
		require.NotRegexp(t, "(?i)unknown|failed|invalid|ignoring", good)
		bad := verify(bytes.ReplaceAll(text, []byte("DynamicUser=yes"), []byte("DynamicUser=perhaps")))
		require.Contains(t, bad, "perhaps", "systemd-analyze finds mistakes")
	})
}
