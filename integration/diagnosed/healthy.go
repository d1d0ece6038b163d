//go:build linux

package main

func init() {
	healthy["idle"] = startIdle
}

// startIdle starts a few of the ordinary goroutines and nothing else.
func startIdle() {
	for _, start := range []func(){
		startMailers, startThumbnails, startCondPool, startBackups, startMetricsReporter, startSessionTimers,
		startFlagPollers, startTCPServer, startUnixServer, startHTTPServer, startLineReaders, startAuditPipe,
	} {
		start()
	}
	rest()
}
