//go:build linux && amd64

package image_test

import (
	"os"
	"os/exec"
	"testing"
)

// qemu runs programs for arm64. With -B 0 the addresses of the program are those of
// qemu's own process, so that the program is read like any other.
const qemu = "qemu-aarch64-static"

// TestGoroutinesOfAProgramForArm64 compares programs for arm64, which run under qemu,
// with what their own runtime says.
func TestGoroutinesOfAProgramForArm64(t *testing.T) {
	path, err := exec.LookPath(qemu)
	if err != nil {
		t.Skipf("needs %s to run programs for arm64; install the Debian package qemu-user-static", qemu)
	}
	toolchains := []string{"local"} // the tests run with each supported release anyway
	if os.Getenv(allReleasesEnv) != "" {
		toolchains = releasesToRun()
	}
	for _, toolchain := range toolchains {
		t.Run(toolchain, func(t *testing.T) {
			const n = 10_000
			checkParked(t, startParked(t, toolchain, "arm64", []string{path, "-B", "0"}, "10000"), n)
			checkSpinning(t, startParked(t, toolchain, "arm64", []string{path, "-B", "0"}, "10", "spinning"))
		})
	}
}
