import SluiceCommandLine

Sluice.start()
