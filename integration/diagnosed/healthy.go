//go:build linux

package main

func init() {
	healthy["idle"] = startIdle
}

// startIdle has a few of the ordinary kinds.
func startIdle() {
	for _, start := range ordinary[:12] {
		start()
	}
	rest()
}
