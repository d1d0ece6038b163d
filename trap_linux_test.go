//go:build amd64 || arm64

package oneshot

// lockTrap makes a program do without the trap.
func lockTrap() { trapLock.Lock() }
