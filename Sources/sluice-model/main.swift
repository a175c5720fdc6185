import SluiceCommandLine

SampleModelCommand.main()
