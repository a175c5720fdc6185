import ArgumentParser
import SluiceCommandLine

Sluice.main()
