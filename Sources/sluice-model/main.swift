import SluiceCommandLine

SampleModelCommand.start()
