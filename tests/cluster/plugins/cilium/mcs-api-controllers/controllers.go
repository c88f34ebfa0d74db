// Package controllers stands for the module of the same name, which no proxy has. Cilium wants one constant of it.
package controllers

// DerivedServiceAnnotation is on a ServiceImport, and names the Service that was made for it.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
