//go:build linux

package terminal

import (
	"os"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestMain(m *testing.M) {
	testwait.HeedHangup()
	os.Exit(m.Run())
}
