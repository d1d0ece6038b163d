module github.com/gomanhole/oneshot/bench

go 1.26.0

require (
	github.com/gomanhole/oneshot v0.0.0
	github.com/google/gops v0.3.28
	github.com/google/pprof v0.0.0-20261105003125-4bf881d7fb0b
	github.com/maruel/panicparse/v2 v2.5.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/stretchr/testify v1.12.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/gomanhole/oneshot => ../
